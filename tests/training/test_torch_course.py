"""The network that a GPU trains computes what the artifact's Keras model computes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train-gpu]")

from batch.training import torch_course, torch_kept  # noqa: E402
from batch.training.from_torch import model_of  # noqa: E402
from batch.training.lite import LITE0, LITE2  # noqa: E402
from batch.training.networks import efficientnet_lite  # noqa: E402
from batch.training.parts import Disguise  # noqa: E402
from batch.training.recipes import find_recipe  # noqa: E402
from batch.training.torch_change import disguise  # noqa: E402
from batch.training.torch_network import LiteNetwork  # noqa: E402
from tests.training.test_backbone import pytorch_arrays  # noqa: E402


@pytest.mark.parametrize(
    ("name", "stages"), [("dermoscopy-lite0-described", LITE0), ("dermoscopy-lite2", LITE2)]
)
def test_both_networks_give_the_same_scores(name, stages):
    torch.manual_seed(3)
    recipe = find_recipe(name)
    network = recipe.network
    ours = LiteNetwork(
        stages, len(recipe.class_names), network.dropout, network.smooth, network.colour_constancy
    ).eval()
    image = keras.Input((None, None, 3))
    arrays = pytorch_arrays(keras.Model(image, efficientnet_lite(image, stages)))
    del arrays["_fc.weight"], arrays["_fc.bias"]
    ours.load_imagenet(arrays)  # drawn ones: PyTorch's own first weights let every signal vanish
    torch.nn.init.normal_(ours._fc.weight)
    images = np.random.default_rng(3).integers(0, 256, (2, 180, 180, 3)).astype(np.float32)
    with torch.no_grad():
        logits = ours(torch.from_numpy(images).permute(0, 3, 1, 2))
        expected = torch.softmax(logits, 1).numpy()
        if network.both_ways:
            turned = ours(torch.from_numpy(images[:, ::-1, ::-1].copy()).permute(0, 3, 1, 2))
            expected = (expected + torch.softmax(turned, 1).numpy()) / 2
    found = model_of(recipe, ours.arrays(np.dtype("float32"))).predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3  # or everything would agree


def test_a_disguise_keeps_shape_and_range():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 180, 180)).float()
    how = find_recipe("dermoscopy-lite2").change
    assert isinstance(how, Disguise)
    changed = disguise(images, how, 128)
    assert changed.shape == (4, 3, 128, 128)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255


def test_a_course_that_ran_out_of_time_keeps_its_averaged_weights(tmp_path):
    """And counts its sets without the images, which are not read."""
    job = {"name": "late", "recipe": "dermoscopy-lite0-described", "hold_out": "", "seed": 1,
           "images": 640, "batch": 64, "keep": True}  # fmt: skip
    recipe = find_recipe(job["recipe"])
    network = recipe.network
    averaged = LiteNetwork(
        LITE0, len(recipe.class_names), network.dropout, network.smooth, network.colour_constancy
    )
    np.savez(tmp_path / "imagenet.npz", **averaged.arrays())
    torch.nn.init.normal_(averaged._fc.weight)
    state = {"step": 7, "seconds": 12.0, "model": {}, "averaged": averaged.state_dict(),
             "optimizer": {}, "losses": [torch.tensor(2.0), torch.tensor(1.0)]}  # fmt: skip
    torch_kept.Checkpoint(tmp_path / "late.checkpoint.pt", 0).write(job, state)
    labels = [recipe.melanoma_class, "nevus", "nevus", recipe.melanoma_class, "nevus"]
    splits = ["test", "test", "validation", "train", "test"]
    rows = pd.DataFrame({"source": "a", "label": labels, "group": range(5), "judges": True,
                         "split": splits, "allowed": labels})  # fmt: skip
    (tmp_path / "pack").mkdir()
    rows.to_csv(tmp_path / "pack" / "rows.csv", index=False)
    (tmp_path / "pack" / "shares.json").write_text('{"a": 1.0}')
    (tmp_path / "jobs.json").write_text(json.dumps([job]))
    words = [str(tmp_path / "pack"), "--jobs", str(tmp_path / "jobs.json"), "--output",
             str(tmp_path), "--lite0", str(tmp_path / "imagenet.npz"), "--stop"]  # fmt: skip
    assert torch_course.main(words) == 0
    line = json.loads((tmp_path / "results.jsonl").read_text().splitlines()[-1])
    assert (line["images_drawn"], line["seconds"]) == (7 * 64, 12.0)
    assert line["sets"] == {"test, a": {"images": 3, "melanomas": 1}}
    kept = torch_kept.kept_arrays(tmp_path, "late")
    np.testing.assert_array_equal(kept["_fc.weight"], averaged.arrays()["_fc.weight"])


def test_without_a_checkpoint_of_this_very_job_nothing_is_kept(tmp_path):
    checkpoint = torch_kept.Checkpoint(tmp_path / "late.checkpoint.pt", 0)
    checkpoint.write({"name": "late", "seed": 1}, {"step": 1})
    with pytest.raises(ValueError, match="no checkpoint of the job late"):
        torch_course.stopped({"name": "late", "seed": 2}, checkpoint, {})
