"""Settings of other work with Keras and TensorFlow do not reach the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from batch.runtime.process import FOREIGN_SETTINGS
from tests.support.archives import REPOSITORY

LOADED = """
import sys
from batch.runtime.process import import_tensorflow
import_tensorflow()
import keras
print(keras.config.backend(), keras.config.floatx(), keras.config.image_data_format(),
      keras.config.dtype_policy().name, keras.config.max_epochs(), keras.config.epsilon())
"""
AS_NEEDED = "tensorflow float32 channels_last float32 None 1e-07"
FOREIGN = {
    "backend": "torch", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1,
    "nnx_enabled": True,
}  # fmt: skip


def run(*arguments: str, home=None, **settings: str) -> subprocess.CompletedProcess:
    told = ("KERAS", "TF_", *FOREIGN_SETTINGS)  # TensorFlow leaves TF2_BEHAVIOR where it was loaded
    environment = {k: v for k, v in os.environ.items() if not k.startswith(told)}
    environment |= settings | ({"HOME": str(home)} if home else {})
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True,
        text=True, timeout=240,
    )  # fmt: skip


def home_with(tmp_path, content: object):
    folder = tmp_path / ".keras"
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "keras.json").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [FOREIGN, {"floatx": "float8"}, "[]"],
    ids=lambda value: str(value)[:30],
)
def test_a_foreign_keras_json_is_not_read_and_stays_as_it_is(tmp_path, content):
    home = home_with(tmp_path, content)
    before = (home / ".keras" / "keras.json").read_bytes()
    found = run("-c", LOADED, home=home)
    assert (found.returncode, found.stdout.strip()) == (0, AS_NEEDED), found.stderr
    assert (home / ".keras" / "keras.json").read_bytes() == before


def test_no_keras_json_is_written(tmp_path):
    assert run("-c", LOADED, home=tmp_path).returncode == 0
    assert not (tmp_path / ".keras").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"KERAS_BACKEND": "torch", "KERAS_HOME": "{home}/.keras"},
        {"KERAS_BACKEND": "", "KERAS_MAX_EPOCHS": "x", "KERAS_MAX_STEPS_PER_EPOCH": "1"},
        {"KERAS_NNX_ENABLED": "true", "TF_XLA_FLAGS": "--no_such_flag", "TF2_BEHAVIOR": "0"},
    ],
    ids=lambda value: ",".join(value),
)
def test_foreign_variables_are_passed_over(tmp_path, settings):
    home = home_with(tmp_path, FOREIGN)
    settings = {name: value.format(home=home) for name, value in settings.items()}
    found = run("-c", LOADED, home=home, **settings)
    assert (found.returncode, found.stdout.strip()) == (0, AS_NEEDED), found.stderr


def test_a_night_under_foreign_settings_is_the_same_night_and_says_what_it_passed_over(
    tmp_path, generated_archive
):
    home = home_with(tmp_path / "home", FOREIGN) if (tmp_path / "home").mkdir() is None else None
    words = ["score", str(generated_archive), "--model", "isic9-plain", "--max-unscored-rate", "1"]
    plain = run("-m", "batch", *words, "--output", str(tmp_path / "plain"))
    foreign = run(
        "-m", "batch", *words, "--output", str(tmp_path / "foreign"), "--processes", "2",
        "--segment-size", "8", home=home, KERAS_BACKEND="jax", TF_XLA_FLAGS="--no_such_flag",
    )  # fmt: skip
    assert (plain.returncode, foreign.returncode) == (0, 0), foreign.stderr
    from tests.scenarios.faults.nights import differences

    nights = [(tmp_path / name / "latest").resolve() for name in ("foreign", "plain")]
    assert differences(*nights) == []
    (log,) = (tmp_path / "foreign" / "logs").glob("*.log")
    said = "settings of the environment passed over: KERAS_BACKEND, TF_XLA_FLAGS"
    assert said in log.read_text()


def test_wrap_reads_a_model_under_foreign_settings(tmp_path, bundled_artifact):
    (tmp_path / "home").mkdir()
    home = home_with(tmp_path / "home", FOREIGN)
    classes = json.loads((bundled_artifact / "manifest.json").read_text())["output"]["class_names"]
    found = run(
        "-m", "batch", "wrap", str(bundled_artifact / "model.keras"), "--classes",
        ",".join(classes), "--melanoma", "melanoma", "--threshold", "0.5",
        "--output", str(tmp_path / "wrapped"), home=home, KERAS_BACKEND="torch",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


def test_the_network_that_is_trained_is_of_the_job_s_kind(tmp_path):
    code = (
        "from batch.runtime.process import import_tensorflow\nimport_tensorflow()\n"
        "import keras\nfrom batch.training.networks import *\n"
        "layer = keras.layers.Conv2D(2, 3)\nlayer.build((None, 9, 9, 3))\n"
        "print(layer.data_format, layer.kernel.dtype, layer.compute_dtype)\n"
    )
    found = run("-c", code, home=home_with(tmp_path, FOREIGN), KERAS_BACKEND="torch")
    assert found.stdout.split() == ["channels_last", "float32", "float32"], found.stderr


def test_a_keras_that_was_imported_with_another_backend_is_refused_by_name(monkeypatch):
    import keras

    from batch.core.errors import BatchError
    from batch.runtime.process import import_tensorflow

    import_tensorflow()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(
        BatchError, match="KERAS_BACKEND: Keras was imported with the backend 'jax'"
    ):
        import_tensorflow()


def test_what_is_passed_over_changes_numbers_or_ends_the_process_and_names_no_device():
    assert not [name for name in FOREIGN_SETTINGS if "GPU" in name or "CUDA" in name]
