"""What `train` says when its libraries are missing: a command that works where the program is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from batch.training.extra import IMPORTED_AS, install_command, origin_of
from tests.evaluation.test_evaluate import SCORES, row, write_night
from tests.support.archives import REPOSITORY


def test_a_place_that_is_there_is_named(tmp_path):
    place = tmp_path / "a b"
    place.mkdir()
    told = json.dumps({"url": place.as_uri(), "dir_info": {}})
    assert origin_of(told) == str(place)
    assert install_command(str(place)) == f"pip install '{place}[train]'"


@pytest.mark.parametrize(
    ("told", "origin"),
    [
        (None, None),
        ("", None),
        ("no json", None),
        ("[]", None),
        ('{"url": "file:///gone/from/here"}', None),
        ('{"url": "https://host/m.whl", "archive_info": {}}', "https://host/m.whl"),
        (
            '{"url": "https://host/m.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "git+https://host/m.git@abc",
        ),
    ],
)
def test_where_it_came_from(told, origin):
    assert origin_of(told) == origin


def test_addresses_and_unknown_places_have_commands_of_their_own():
    address = install_command("git+https://host/m.git@abc")
    assert address == "pip install 'melanoma-batch[train] @ git+https://host/m.git@abc'"
    libraries = install_command(None)
    assert "melanoma-batch" not in libraries  # which no index has
    assert all(name in libraries for name in IMPORTED_AS)


def run(*words):
    """The program where the libraries of the extra are not installed."""
    hidden = ["sklearn", "imagehash", "matplotlib"]
    code = (
        "import importlib.util as util, sys\n"
        f"hidden, found = {hidden!r}, util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name in hidden else found(name, *more)\n"
        "sys.modules |= dict.fromkeys(hidden)\n"
        f"from batch.cli import main\nsys.exit(main({words!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )


def test_train_names_what_is_missing_and_how_to_get_it(tmp_path):
    ended = run("train", "isic9-plain", "--data", str(tmp_path), "--output", str(tmp_path / "new"))
    assert ended.returncode == 2
    assert "not installed: scikit-learn, ImageHash, matplotlib" in ended.stderr
    assert f"pip install '{REPOSITORY}[train]'" in ended.stderr


def test_evaluate_needs_no_extra(tmp_path):
    found = [row(name, score) for name, score in SCORES.items()]
    reports = write_night(tmp_path / "reports", found)
    (tmp_path / "labels.csv").write_text("image,label\nm1,melanoma\nm2,melanoma\nn1,NV\nn2,NV\n")
    ended = run("evaluate", str(reports), "--labels", str(tmp_path / "labels.csv"))
    assert ended.returncode == 0, ended.stderr
    assert "ROC-AUC                               0.750" in ended.stdout


def test_a_night_takes_no_library_of_the_training_along():
    """Keras imports scikit-learn where it finds it; afterwards it can be found again."""
    code = (
        "import sys\nfrom batch.runtime.process import import_tensorflow\nimport_tensorflow()\n"
        "import batch.cli, batch.run.score_run, keras\n"
        "print([name for name in ('sklearn', 'matplotlib') if name in sys.modules])\n"
        "import matplotlib, sklearn.metrics"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "[]"
