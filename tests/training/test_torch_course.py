"""The network that a GPU trains computes what the artifact's Keras model computes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train-gpu]")

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
