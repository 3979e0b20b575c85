"""The contract of an artifact: whatever would make another score refuses to run, by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from batch.core.errors import ArtifactRefused, UsageError
from batch.model.artifact import (
    ModelArtifact,
    bundled_model_ids,
    find_artifact,
    self_test,
    verify_artifact,
)
from batch.model.manifest import (
    check_manifest,
    read_manifest,
    scoring_fingerprint,
    write_manifest,
)


def change(folder: Path, path: str, value: object) -> None:
    """Set a dotted field of manifest.json; `None` removes it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    *parents, last = path.split(".")
    target = manifest
    for name in parents:
        target = target[int(name)] if isinstance(target, list) else target[name]
    if value is None:
        del target[last]
    else:
        target[last] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def seal(folder: Path) -> None:
    """Write the contract's digest anew, as `train` does."""
    write_manifest(read_manifest(folder), folder)


def current(folder: Path, path: str) -> object:
    value = json.loads((folder / "manifest.json").read_text())
    for name in path.split("."):
        value = value[name]
    return value


def swap_model(folder: Path, model) -> None:
    """Put another model into the artifact, with its digest everywhere."""
    model.save(folder / "model.keras")
    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    change(folder, "model_sha256", digest)
    change(folder, "operating_points.0.model_sha256", digest)


def verify(folder: Path):
    return verify_artifact(find_artifact(str(folder)))


def refused(folder: Path, field: str):
    with pytest.raises(ArtifactRefused) as error:
        verify(folder)
    assert error.value.field == field, str(error.value)
    return str(error.value)


@pytest.mark.parametrize("model_id", bundled_model_ids())
def test_every_bundled_artifact_passes_its_checks(model_id):
    artifact = find_artifact(model_id)
    assert artifact.manifest.model_id == model_id
    verify_artifact(artifact)


def test_the_golden_images_measure_how_far_tonights_scores_are(artifact_copy):
    artifact = find_artifact(str(artifact_copy))
    _, before = self_test(artifact, 8)
    assert before.images == len(artifact.manifest.golden)
    assert 0 <= before.largest_difference <= before.tolerance == artifact.manifest.golden_tolerance
    off = before.tolerance / 2
    scores = current(artifact_copy, "golden")[0]["scores"]
    change(artifact_copy, "golden.0.scores.melanoma", scores["melanoma"] + off)
    seal(artifact_copy)
    _, after = self_test(find_artifact(str(artifact_copy)), 9)  # another size is loaded anew
    assert after.largest_difference == pytest.approx(off, abs=2 * before.largest_difference + 1e-9)


def test_the_manifest_is_written_as_it_is_read(artifact_copy, tmp_path):
    manifest = read_manifest(artifact_copy)
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UsageError, match="no model 'isic10'.*isic9-plain"):
        find_artifact("isic10")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("model_sha256", None, "model_sha256"),
        ("input.height", None, "input.height"),
        ("input.height", "180", "input.height"),
        ("input.colours", "RGB", "input.colours"),
        ("output.kind", "probabilities", "output.kind"),
        ("manifest_version", 2, "manifest_version"),
        ("surprise", 1, "surprise"),
        ("operating_points.0.sensitivity", None, "operating_points.0.sensitivity"),
        ("input.resize_rule", "squash-bicubic", "input.resize_rule"),
        ("input.preprocessing_version", "0", "input.preprocessing_version"),
        ("input.channels", 1, "input.channels"),
        ("input.value_range", [0.0, 1.0], "input.value_range"),
        ("input.value_range", [255.0, 0.0], "input.value_range"),
        ("output.melanoma_class", "MEL", "output.melanoma_class"),
        ("output.malignant_classes", ["nevus"], "output.malignant_classes"),
        ("output.malignant_classes", ["MEL"], "output.malignant_classes"),
        ("output.class_names", ["melanoma", "melanoma"], "output.class_names"),
        ("output.temperature", 0.0, "output.temperature"),
        ("default_operating_point", "best", "operating_points"),
        ("operating_points.0.model_sha256", "0" * 64, "operating_points.0.model_sha256"),
        ("operating_points.0.threshold", 1.5, "operating_points.0.threshold"),
        ("golden", [], "golden"),
        ("golden_tolerance", 0.01, "golden_tolerance"),
        ("output.kind", "sigmoid", "output.class_names"),
    ],
)
def test_a_manifest_that_breaks_the_contract_names_the_field(artifact_copy, field, value, named):
    change(artifact_copy, field, value)
    with pytest.raises(ArtifactRefused) as error:
        find_artifact(str(artifact_copy))
    assert error.value.field == named


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_manifest_that_is_none_is_refused(artifact_copy, content):
    (artifact_copy / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactRefused, match="manifest.json"):
        find_artifact(str(artifact_copy))


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(ArtifactRefused, match="no readable file"):
        find_artifact(str(tmp_path))


def test_another_model_file_is_refused_before_it_is_opened(artifact_copy, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the model was opened")

    monkeypatch.setattr("batch.model.artifact.load_model", never)
    with (artifact_copy / "model.keras").open("ab") as file:
        file.write(b"x")
    refused(artifact_copy, "model_sha256")


def test_a_missing_model_file_is_refused(artifact_copy):
    (artifact_copy / "model.keras").unlink()
    refused(artifact_copy, "model.keras")


def test_a_file_that_is_no_model_is_refused(artifact_copy):
    (artifact_copy / "model.keras").write_bytes(b"no model")
    digest = hashlib.sha256(b"no model").hexdigest()
    change(artifact_copy, "model_sha256", digest)
    change(artifact_copy, "operating_points.0.model_sha256", digest)
    refused(artifact_copy, "model.keras")


def test_a_swapped_class_order_is_refused(artifact_copy):
    names = current(artifact_copy, "output.class_names")
    names[0], names[3] = names[3], names[0]
    change(artifact_copy, "output.class_names", names)
    assert "order is wrong" in refused(artifact_copy, "output.class_names")


def test_one_class_more_than_the_model_gives_is_refused(artifact_copy):
    names = current(artifact_copy, "output.class_names")
    change(artifact_copy, "output.class_names", [*names, "tenth"])
    refused(artifact_copy, "output.class_names")


def test_double_rescaling_is_refused(artifact_copy):
    change(artifact_copy, "input.rescaling_in_model", False)
    change(artifact_copy, "input.value_range", [0.0, 1.0])
    assert "scaled twice" in refused(artifact_copy, "input.rescaling_in_model")


def _rebuilt(folder: Path, rescaling: bool, activation: str):
    """The bundled network with or without its Rescaling layer, with another last activation."""
    import keras

    old = keras.saving.load_model(folder / "model.keras", compile=False)
    image = keras.Input((180, 180, 3))
    x = image
    for layer in old.layers[1:]:
        if isinstance(layer, keras.layers.Rescaling) and not rescaling:
            continue
        x = type(layer).from_config({**layer.get_config(), "name": None})(x)
    model = keras.Model(image, x)
    model.set_weights(old.get_weights())
    model.layers[-1].activation = keras.activations.get(activation)
    return model


def test_no_rescaling_at_all_is_refused(artifact_copy):
    """The model expects 0..1 and the manifest says that it scales by itself."""
    swap_model(artifact_copy, _rebuilt(artifact_copy, rescaling=False, activation="softmax"))
    assert "(0.0, 1.0)" in refused(artifact_copy, "input.value_range")


def test_a_model_without_rescaling_runs_when_the_manifest_says_so(artifact_copy):
    swap_model(artifact_copy, _rebuilt(artifact_copy, rescaling=False, activation="softmax"))
    change(artifact_copy, "input.rescaling_in_model", False)
    change(artifact_copy, "input.value_range", [0.0, 1.0])
    seal(artifact_copy)
    verify(artifact_copy)


def test_logits_taken_for_probabilities_are_refused(artifact_copy):
    swap_model(artifact_copy, _rebuilt(artifact_copy, rescaling=True, activation="linear"))
    assert "logits" in refused(artifact_copy, "output.kind")


def test_a_model_that_gives_logits_runs_when_the_manifest_says_so(artifact_copy):
    swap_model(artifact_copy, _rebuilt(artifact_copy, rescaling=True, activation="linear"))
    change(artifact_copy, "output.kind", "logits")
    seal(artifact_copy)
    verify(artifact_copy)


def test_probabilities_taken_for_logits_are_refused(artifact_copy):
    change(artifact_copy, "output.kind", "logits")
    assert "gives softmax" in refused(artifact_copy, "output.kind")


def test_another_colour_order_is_refused(artifact_copy):
    change(artifact_copy, "input.colour_order", "BGR")
    assert "takes RGB" in refused(artifact_copy, "input.colour_order")


def test_another_temperature_is_refused(artifact_copy):
    change(artifact_copy, "output.temperature", 2.0)
    refused(artifact_copy, "output.temperature")


def test_another_input_size_is_refused(artifact_copy):
    change(artifact_copy, "input.height", 224)
    refused(artifact_copy, "input")


def test_another_way_of_resizing_is_refused_by_its_golden_pixels(artifact_copy, monkeypatch):
    """A program that resizes otherwise than the manifest's rule, whatever it claims."""
    import numpy as np
    from PIL import Image

    def nearest(pixels, height, width, box=None):
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))

    monkeypatch.setattr("batch.images.preprocess.resize", nearest)
    refused(artifact_copy, "input.resize_rule")


def test_a_missing_golden_image_is_refused(artifact_copy):
    (artifact_copy / "golden" / "lesion-0.png").unlink()
    refused(artifact_copy, "golden")


def test_golden_scores_of_another_model_are_refused(artifact_copy):
    scores = current(artifact_copy, "golden")[0]["scores"]
    change(artifact_copy, "golden.0.scores", {name: 1 / len(scores) for name in scores})
    refused(artifact_copy, "golden")


def test_a_model_with_two_inputs_is_refused(artifact_copy):
    import keras

    one, two = keras.Input((180, 180, 3)), keras.Input((180, 180, 3))
    x = keras.layers.Add()([one, two])
    x = keras.layers.GlobalAveragePooling2D()(x)
    swap_model(artifact_copy, keras.Model([one, two], keras.layers.Dense(9)(x)))
    assert "2 inputs" in refused(artifact_copy, "model.keras")


def test_the_checks_of_the_manifest_alone_need_no_model(artifact_copy):
    (artifact_copy / "model.keras").unlink()
    artifact = find_artifact(str(artifact_copy))
    assert isinstance(artifact, ModelArtifact)
    check_manifest(artifact.manifest)


def test_two_classes_that_are_never_predicted_cannot_be_swapped(artifact_copy):
    """Their golden scores are alike; the contract's digest is not."""
    names = current(artifact_copy, "output.class_names")
    first, second = names.index("vascular lesion"), names.index("seborrheic keratosis")
    names[first], names[second] = names[second], names[first]
    change(artifact_copy, "output.class_names", names)
    with pytest.raises(ArtifactRefused) as error:
        verify(artifact_copy)
    assert error.value.field in {"contract_sha256", "output.class_names"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("operating_points.0.threshold", 0.99), ("operating_points.0.sensitivity", 1.0)],
)
def test_an_edited_operating_point_is_refused(artifact_copy, field, value):
    change(artifact_copy, field, value)
    refused(artifact_copy, "contract_sha256")


def test_a_graph_that_does_not_fit_is_refused(artifact_copy):
    import keras

    image = keras.Input((180, 180, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.RandomCrop(500, 500)(x)
    swap_model(artifact_copy, keras.Model(image, keras.layers.Flatten()(x)[:, :9]))
    with pytest.raises(ArtifactRefused):
        verify(artifact_copy)


@pytest.mark.parametrize("model_id", bundled_model_ids())
def test_nights_of_a_bundled_model_are_compared_with_its_own_reference(model_id):
    manifest = find_artifact(model_id).manifest
    told = manifest.provenance["reference"]["scoring_fingerprint"]
    assert told == scoring_fingerprint(manifest)
