"""README says what the program does: every option, exit code, reason and flag stands in it."""

from __future__ import annotations

import argparse
import re

import pytest

from batch import __version__
from batch.arguments import parser
from batch.core.errors import ExitCode, FailureReason, NonImageReason, PendingReason
from batch.core.rules import LIMIT_NAMES, Limits
from batch.images.colour_profiles import APPLIED, BROKEN, NOT_APPLIED
from batch.images.embedded_profiles import IGNORED
from batch.images.uniform import NEARLY_UNIFORM
from batch.model.artifact import bundled_model_ids
from batch.model.manifest import read_manifest
from batch.review.worklist.contract import MARK_COLUMNS, Status, Tier
from batch.review.worklist.lesions import FLAGS
from tests.support.archives import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def _commands() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices


OPTIONS = [
    (command, option)
    for command, words in _commands().items()
    for action in words._actions
    for option in action.option_strings
    if option not in ("-h", "--help")
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_every_option_stands_in_the_readme(command, option):
    assert f"melanoma-batch {command}" in README
    assert re.search(rf"`{option}[ `]", README)


def test_every_limit_stands_in_the_readme_with_its_default():
    for name in LIMIT_NAMES:
        assert f"| `{name}` | {getattr(Limits(), name)} |" in README


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_stands_in_the_readme(code):
    assert re.search(rf"^\| {int(code)} \| ", README, re.MULTILINE)


def test_no_exit_code_stands_in_the_readme_that_does_not_exist():
    section = README.split("### Exit codes")[1].split("##")[0]
    assert {int(n) for n in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == set(ExitCode)


@pytest.mark.parametrize("reason", FailureReason)
def test_every_reason_stands_in_the_readme(reason):
    assert f"| `{reason}` | " in README


@pytest.mark.parametrize("reason", NonImageReason)
def test_every_reason_of_a_non_image_stands_in_the_readme(reason):
    assert f"| `{reason}` | " in README


def test_every_flag_that_the_code_sets_stands_in_the_readme():
    source = "".join(path.read_text() for path in (REPOSITORY / "batch" / "images").glob("*.py"))
    flags = set(re.findall(r'flags\.add\("(\w+)"\)', source))
    flags |= {"upscaled", "was_16bit", "not_dermoscopic_sop_class"}
    flags |= {"palette", "frames_beyond_declared", "colour_ambiguous"}
    flags |= {APPLIED, BROKEN, NOT_APPLIED, IGNORED, NEARLY_UNIFORM}
    table = README.split("| flag in `predictions` |")[1].split("\n\n")[0]
    assert flags == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_flag_of_the_worklist_stands_in_the_readme():
    section = README.split("### The review worklist")[1].split("\n### ")[0]
    for flag, meaning in FLAGS.items():
        assert f"| `{flag}` | {meaning} |" in section


def test_every_column_of_a_mark_tier_and_status_stands_in_the_readme():
    section = README.split("### The review worklist")[1].split("\n### ")[0]
    for word in (*MARK_COLUMNS, *Tier, *Status):
        assert f"`{word}`" in section


@pytest.mark.parametrize("model_id", bundled_model_ids())
def test_the_figures_of_the_models_are_the_manifests(model_id):
    manifest = read_manifest(REPOSITORY / "model_artifacts" / model_id)
    section = README.split(f"### `{model_id}`")[1].split("\n### ")[0].splitlines()
    measured = {name: found["melanoma"] for name, found in manifest.provenance["metrics"].items()}
    for run in manifest.provenance["held_out_runs"]:
        measured |= run["metrics"]
    for name, found in measured.items():
        row = next(line for line in section if line.startswith(f"| {name} |"))
        assert f"| {found['images']} | {found['melanomas']} |" in row
        assert f"{found['melanoma_auc']:.3f} (" in row
        assert f"{found['at_operating_point']['sensitivity']:.3f} (" in row


def test_the_accuracy_of_the_reference_is_its_manifest_s():
    manifest = read_manifest(REPOSITORY / "model_artifacts" / "isic9-plain")
    classes = manifest.provenance["metrics"]["test"]["classes"]
    assert f"it is {classes['accuracy']:.1%}" in README
    assert f"(balanced {classes['balanced_accuracy']:.1%})" in README


def test_the_version_has_an_entry_in_the_changelog():
    assert f"## {__version__} " in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_placeholder_was_left():
    assert "@@" not in README
    assert not re.findall(r"^[A-Z]+(?:_[A-Z]+)+$", README, re.MULTILINE)


@pytest.mark.parametrize("reason", PendingReason)
def test_every_reason_to_wait_stands_in_the_readme(reason):
    assert f"| `{reason}` | " in README


@pytest.mark.parametrize("command", _commands())
def test_every_help_text_is_complete(command):
    text = _commands()[command].format_help()
    for action in _commands()[command]._actions:
        assert action.help, action
    assert "None" not in text
