"""`wrap`: models from elsewhere run in the job as in Keras itself, or are refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batch.archive.reader import read_image
from batch.cli import main
from batch.core.errors import ExitCode
from batch.model.manifest import Licence, read_manifest
from tests.support.archives import REPOSITORY

SIZE = 64


def network(units=3, activation="softmax", size=SIZE, rescaling=None, channels=3, dtype=None):
    """A small classifier with large, seeded weights: its scores differ between images."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(7)
    image = keras.Input((size, size, channels), dtype=dtype)
    x = keras.ops.cast(image, "float32") if dtype == "uint8" else image
    x = x if rescaling is None else layers.Rescaling(*rescaling)(x)
    x = layers.Conv2D(6, 5, strides=3, activation="tanh", kernel_initializer="glorot_normal")(x)
    x = layers.GlobalAveragePooling2D()(x)
    init = keras.initializers.RandomNormal(stddev=4.0, seed=3)
    return keras.Model(image, layers.Dense(units, activation, kernel_initializer=init)(x))


def wrap(model, folder: Path, classes="melanoma,nevus,other", *more: str, name="model.keras"):
    """The exit code of `wrap`; `model` is a Keras model or a file's content."""
    file = folder / name
    if isinstance(model, bytes):
        file.write_bytes(model)
    elif model is not None:
        model.save(file)
    words = [str(file), "--classes", classes, "--melanoma", "melanoma", "--threshold", "0.4"]
    return main(["wrap", *words, "--output", str(folder / "artifact"), *more])


KINDS = {
    # values -1..1 are made outside the model
    "softmax": (
        lambda: network(),
        "melanoma,nevus,other",
        ("--value-range", "-1,1"),
        lambda pixels: pixels / 127.5 - 1,
        lambda raw: raw,
    ),
    "sigmoid": (
        lambda: network(1, "sigmoid", 200, rescaling=(1 / 127.5, -1.0)),
        "other,melanoma",
        (),
        lambda pixels: pixels,
        lambda raw: np.concatenate([1 - raw, raw], axis=1),
    ),
    "logits": (
        lambda: network(2, None),
        "nevus,melanoma",
        ("--value-range", "0,1", "--colour-order", "BGR"),
        lambda pixels: pixels[..., ::-1] / 255,
        lambda raw: np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_job_scores_as_keras_itself_does(kind, generated_archive, tmp_path):
    import tensorflow as tf

    build, classes, more, prepare, finish = KINDS[kind]
    model = build()
    assert wrap(model, tmp_path, classes, *more) == ExitCode.COMPLETE
    manifest = read_manifest(tmp_path / "artifact")
    assert manifest.output.kind == kind
    words = ["score", str(generated_archive), "--output", str(tmp_path / "reports")]
    more = ("--model", str(tmp_path / "artifact"), "--max-unscored-rate", "0.5")
    assert main([*words, *more]) == ExitCode.COMPLETE

    rows = pd.read_parquet(tmp_path / "reports" / "latest" / "predictions")
    rows = rows[rows["frame_number"].isna()]
    pixels = np.stack([read_image(generated_archive / path).pixels for path in rows["path"]])
    size = model.inputs[0].shape[1:3]
    resized = tf.image.resize(pixels.astype(np.float32), size, antialias=True).numpy()
    expected = finish(model.predict(prepare(resized), verbose=0))
    names = tuple(classes.split(","))
    found = np.array([[dict(row)[name] for name in names] for row in rows["class_scores"]])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found[:, names.index("melanoma")]) > 0.02
    melanoma = found[:, names.index("melanoma")]
    assert (rows["is_alert"].to_numpy() == (melanoma >= 0.4)).all()
    assert set(rows["operating_point"]) == {"unvalidated"}


def test_nothing_is_claimed_that_was_not_measured(tmp_path, capsys):
    assert wrap(network(rescaling=(1 / 255,)), tmp_path) == ExitCode.COMPLETE
    folder = tmp_path / "artifact"
    manifest = read_manifest(folder)
    (point,) = manifest.operating_points
    assert (point.name, point.threshold) == ("unvalidated", 0.4)
    assert (point.sensitivity, point.specificity, point.target_sensitivity) == (0, 0, 0)
    assert point.sensitivity_interval == point.specificity_interval == (0, 1)
    assert (point.melanomas, point.others, point.provisional) == (0, 0, True)
    assert point.validation_set == "none: not measured"
    assert "never measured here" in manifest.caution
    assert not manifest.output.calibrated
    assert (folder / "model.keras").read_bytes() == (tmp_path / "model.keras").read_bytes()
    card = (folder / "MODEL_CARD.md").read_text()
    assert manifest.caution in card
    assert card in capsys.readouterr().out
    assert str(tmp_path) not in card + (folder / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("build", "more", "expected"),
    [
        (lambda: network(rescaling=(1 / 255,)), (), (SIZE, "float32", (0, 255), "RGB", True)),
        (lambda: network(size=32, dtype="uint8"), (), (32, "uint8", (0, 255), "RGB", False)),
        (lambda: network(), ("--value-range", "0,255", "--colour-order", "BGR"),
         (SIZE, "float32", (0, 255), "BGR", False)),
        (lambda: network(), ("--value-range=0,1", "--input-dtype", "float32"),
         (SIZE, "float32", (0, 1), "RGB", False)),
    ],
)  # fmt: skip
def test_the_input_is_found_or_taken_from_the_options(tmp_path, build, more, expected):
    assert wrap(build(), tmp_path, "melanoma,nevus,other", *more) == ExitCode.COMPLETE
    found = read_manifest(tmp_path / "artifact").input
    assert found.height == found.width == expected[0]
    assert (found.dtype, found.value_range, found.colour_order) == expected[1:4]
    assert found.rescaling_in_model is expected[4]


def test_names_and_words_go_into_the_manifest(tmp_path):
    more = ("--malignant", "melanoma, other", "--id", "mine", "--version", "2.3.4")
    more += ("--description", "of our clinic", "--kind", "softmax")
    assert wrap(network(rescaling=(1 / 255,)), tmp_path, "melanoma, nevus ,other", *more) == 0
    manifest = read_manifest(tmp_path / "artifact")
    assert manifest.output.class_names == ("melanoma", "nevus", "other")
    assert manifest.output.malignant_classes == ("melanoma", "other")
    assert (manifest.model_id, manifest.model_version) == ("mine", "2.3.4")
    assert manifest.description == "of our clinic"


@pytest.mark.parametrize(
    ("words", "expected", "on_card"),
    [
        ((), Licence("not stated", None, {}), "is not stated: ask who made them"),
        (("--licence", "Apache-2.0"), Licence("Apache-2.0", None, {}), "The weights: Apache-2.0."),
        (
            ("--licence", "CC-BY-NC-4.0"),
            Licence("CC-BY-NC-4.0", True, {}),
            "for **non-commercial** use only: CC-BY-NC-4.0.",
        ),
    ],
)
def test_the_licence_is_the_callers_word(tmp_path, words, expected, on_card):
    assert wrap(network(rescaling=(1 / 255,)), tmp_path, "melanoma,nevus,other", *words) == 0
    manifest = read_manifest(tmp_path / "artifact")
    assert manifest.licence == expected
    card = (tmp_path / "artifact" / "MODEL_CARD.md").read_text()
    assert on_card in card
    assert "Apache-2.0 does not cover them" in card


def head(build):
    """A model of whatever `build(keras, image)` makes of a 64×64 image."""
    import keras

    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, build(keras, image))


def pooled(keras, image):
    return keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))


def two_inputs():
    import keras

    one, two = keras.Input((SIZE, SIZE, 3)), keras.Input((2,))
    x = keras.layers.Concatenate()([keras.layers.Flatten()(one), two])
    return keras.Model([one, two], keras.layers.Dense(3, "softmax")(x))


def two_outputs():
    return head(lambda keras, image: [pooled(keras, image), pooled(keras, image)])


def dictionary_out():
    return head(lambda keras, image: {"p": keras.layers.Dense(3, "softmax")(pooled(keras, image))})


def never_built():
    import keras

    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])


def any_size():
    import keras

    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Dense(3, "softmax")(pooled(keras, image)))


def fixed_batch():
    import keras

    image = keras.Input((SIZE, SIZE, 3), batch_size=4)
    return keras.Model(image, keras.layers.Dense(3, "softmax")(pooled(keras, image)))


def vector_in():
    import keras

    image = keras.Input((12,))
    return keras.Model(image, keras.layers.Dense(3, "softmax")(image))


def with_lambda():
    return head(
        lambda keras, image: keras.layers.Lambda(keras.activations.softmax)(pooled(keras, image))
    )


def custom_layer():
    import keras

    @keras.saving.register_keras_serializable("elsewhere")
    class Ours(keras.layers.Layer):
        def call(self, x):
            return x

    return head(lambda keras, image: Ours()(pooled(keras, image)))


def cast_after_softmax():
    return head(
        lambda keras, image: keras.layers.Activation("linear", dtype="float32")(
            keras.layers.Dense(3, "softmax")(pooled(keras, image))
        )
    )


REFUSED = [
    (two_inputs, "2 inputs"),
    (two_outputs, "2 outputs"),
    (dictionary_out, "when it is called on images"),
    (never_built, "never built"),
    (any_size, "one fixed height and width"),
    (fixed_batch, "any number of images"),
    (vector_in, "colour images"),
    (lambda: network(channels=1), "colour images"),
    (lambda: network(units=4, rescaling=(1 / 255,)), "Correct --classes"),
    (lambda: network(1, "sigmoid", rescaling=(1 / 255,)), "of which it scores the second"),
    (with_lambda, "Lambda"),
    (custom_layer, "Ours"),
    (lambda: network(rescaling=(2.0, -1.0)), "Rescaling layer (scale 2.0"),
    (lambda: network(dtype="float16"), "input.dtype"),
    (lambda: b"no archive", "no archive of Keras 3"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_a_model_that_cannot_be_wrapped_is_refused(tmp_path, capsys, build, message):
    assert wrap(build(), tmp_path) == ExitCode.ARTIFACT_REFUSED
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "artifact").exists()


def test_an_h5_file_is_never_opened(tmp_path, capsys):
    assert wrap(b"\x89HDF\r\n", tmp_path, name="model.h5") == ExitCode.ARTIFACT_REFUSED
    assert "save('x.keras')" in capsys.readouterr().err


def raw():
    return network()


def scaled():
    return network(rescaling=(1 / 255,))


CONTRADICTIONS = [
    (scaled, "melanoma,nevus,nevus", (), "--classes"),
    (scaled, "melanoma,,nevus", (), "--classes"),
    (scaled, "melanoma", (), "two or more"),
    (scaled, "MEL,nevus,other", (), "--melanoma: found ['melanoma']"),
    (scaled, "melanoma,nevus,other", ("--malignant", "melanoma,bcc"), "--malignant: found ['bcc']"),
    (scaled, "melanoma,nevus,other", ("--malignant", "nevus"), "'melanoma' among them"),
    (scaled, "melanoma,nevus,other", ("--id", "a b"), "--id"),
    (scaled, "melanoma,nevus,other", ("--id", "isic9-plain"), "is a bundled model"),
    (scaled, "melanoma,nevus,other", ("--version", "1.0"), "--version"),
    (scaled, "melanoma,nevus,other", ("--kind", "logits"), "last activation gives softmax"),
    (scaled, "melanoma,nevus,other", ("--value-range", "0,1"), "has a Rescaling layer"),
    (raw, "melanoma,nevus,other", (), "nothing tells what it was trained on"),
    (cast_after_softmax, "melanoma,nevus,other", (), "--kind: the model's last layer"),
    (lambda: None, "melanoma,nevus,other", (), "MODEL: no file"),
]


@pytest.mark.parametrize(
    ("build", "classes", "more", "message"), CONTRADICTIONS, ids=[row[3] for row in CONTRADICTIONS]
)
def test_words_that_contradict_the_model_are_usage_errors(
    tmp_path, capsys, build, classes, more, message
):
    assert wrap(build(), tmp_path, classes, *more) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize(
    ("kind", "code"), [("softmax", ExitCode.COMPLETE), ("logits", ExitCode.ARTIFACT_REFUSED)]
)
def test_where_no_activation_tells_the_values_do(tmp_path, capsys, kind, code):
    more = ("--kind", kind)
    assert wrap(cast_after_softmax(), tmp_path, "melanoma,nevus,other", *more) == code
    assert ("these are probabilities" in capsys.readouterr().err) == (kind == "logits")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threshold", "1.1"), ("--threshold", "nan"), ("--value-range", "1,0"),
     ("--value-range", "0"), ("--value-range", "0,x"), ("--colour-order", "GBR")],
)  # fmt: skip
def test_values_out_of_range_are_usage_errors(tmp_path, capsys, option, value):
    assert wrap(None, tmp_path, "melanoma,nevus,other", f"{option}={value}") == ExitCode.USAGE
    assert option in capsys.readouterr().err


def test_wrapping_needs_nothing_but_the_installation(tmp_path):
    """The libraries of the extra [train] cannot be imported, and it goes all the same."""
    network(rescaling=(1 / 255,)).save(tmp_path / "model.keras")
    words = [str(tmp_path / "model.keras"), "--classes", "melanoma,a,b", "--melanoma", "melanoma"]
    words += ["--threshold", "0.5", "--output", str(tmp_path / "artifact")]
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['sklearn', 'scipy', 'imagehash', 'matplotlib'])\n"
        f"from batch.cli import main\nsys.exit(main(['wrap', *{words!r}]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "artifact" / "manifest.json").is_file()


def test_a_wrapped_model_is_measured_by_calibrating_it(tmp_path):
    """What the caution says changes with that, and the threshold has evidence."""
    from batch.demo.dicom_writer import jpeg_bytes
    from batch.demo.lesions import lesion_image

    assert wrap(network(1, "sigmoid", rescaling=(1 / 255,)), tmp_path, "other,melanoma") == 0
    (tmp_path / "archive").mkdir()
    for number in range(44):
        data = jpeg_bytes(lesion_image(3000 + number, 180, 180))
        (tmp_path / "archive" / f"L{number:02d}.jpg").write_bytes(data)
    words = ["score", str(tmp_path / "archive"), "--output", str(tmp_path / "reports")]
    assert main([*words, "--model", str(tmp_path / "artifact")]) == ExitCode.COMPLETE
    rows = pd.read_parquet(tmp_path / "reports" / "latest" / "current")
    order = rows["melanoma_score"].rank() + np.random.default_rng(2).normal(0, 10, len(rows))
    label = np.where(order.rank() > 22, "melanoma", "other")
    image = [Path(path).stem for path in rows["path"]]
    pd.DataFrame({"image": image, "label": label}).to_csv(tmp_path / "l.csv", index=False)
    words = [str(tmp_path / "reports"), "--labels", str(tmp_path / "l.csv")]
    words += ["--model", str(tmp_path / "artifact"), "--output", str(tmp_path / "measured")]
    assert main(["calibrate", *words, "--no-temperature"]) == ExitCode.COMPLETE
    manifest = read_manifest(tmp_path / "measured")
    assert "never measured" not in manifest.caution
    assert "44 images of l.csv" in manifest.caution
    (point,) = manifest.operating_points
    assert (point.melanomas, point.others) == (22, 22)
    assert point.sensitivity >= 0.95
