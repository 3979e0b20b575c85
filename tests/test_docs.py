"""The READMEs say what the program does: options, exit codes, reasons, flags, links, programs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import click
import pytest

from batch import __version__
from batch.commands.command_line import command_line
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

FRONT = "README.md"
NAMES = (FRONT, *(f"{room}/README.md" for room in (
    "batch", "batch/run", "batch/review", "batch/images", "batch/pipeline", "batch/evaluation",
    "batch/desk", "batch/export", "batch/training", "model_artifacts", "schemas", "tests",
    ".container",
)))  # fmt: skip
TEXTS = {name: (REPOSITORY / name).read_text(encoding="utf-8") for name in NAMES}
WHERE = {
    "score": "batch/run", "inventory": "batch/run", "current": "batch/run", "runs": "batch/run",
    "prune": "batch/run", "serve": "batch/review", "doctor": "batch/run", "config": "batch/run",
    "completion": "batch/run",
    "demo": "batch/run", "worklist": "batch/review", "evaluate": "batch/evaluation",
    "calibrate": "batch/evaluation", "outcomes": "batch/evaluation",
    "compare": "batch/run",
    "wrap": "batch/evaluation", "stress": "batch/evaluation",
    "export": "batch/export", "train": "batch/training",
}  # fmt: skip
"""The README that has a command's options; those of the page and of every command stand once."""
SHARED = ("batch/run", "batch/review", "batch/evaluation")


def text(room: str) -> str:
    return TEXTS[f"{room}/README.md"]


def section(readme: str, heading: str) -> str:
    """What stands below a heading, its subsections included."""
    level = len(re.search(rf"^(#+) {re.escape(heading)}", readme, re.MULTILINE)[1])
    after = re.split(rf"^#+ {re.escape(heading)}.*$", readme, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


OPTIONS = [
    (name, option)
    for name, command in command_line.commands.items()
    for param in command.params
    if isinstance(param, click.Option)
    for option in param.opts
    if option not in ("-h", "--help")
]


def test_the_front_page_can_be_finished():
    assert TEXTS[FRONT].count("\n") <= 250


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_every_option_stands_in_a_readme(command, option):
    assert any(f"melanoma-batch {command}" in readme for readme in TEXTS.values())
    rooms = {WHERE[command], *SHARED}
    assert any(re.search(rf"`(?:[^`\n]*, )?{option}[ `]", text(room)) for room in rooms)


def test_every_limit_stands_there_with_its_default():
    for name in LIMIT_NAMES:
        assert f"| `{name}` | {getattr(Limits(), name)} |" in text("batch/images")


def test_exactly_the_exit_codes_stand_on_the_front_page():
    codes = re.findall(r"^\| (\d+) \|", section(TEXTS[FRONT], "Exit codes"), re.MULTILINE)
    assert list(map(int, codes)) == sorted(map(int, ExitCode))


@pytest.mark.parametrize("reason", [*FailureReason, *NonImageReason])
def test_every_reason_stands_there(reason):
    assert f"| `{reason}` | " in text("batch/images")


@pytest.mark.parametrize("reason", PendingReason)
def test_every_reason_to_wait_stands_there(reason):
    assert f"| `{reason}` | " in text("batch/run")


def test_exactly_the_flags_that_the_code_sets_stand_there():
    source = "".join(path.read_text() for path in (REPOSITORY / "batch" / "images").glob("*.py"))
    flags = set(re.findall(r'flags\.add\("(\w+)"\)', source))
    flags |= {"upscaled", "was_16bit", "not_dermoscopic_sop_class"}
    flags |= {"palette", "frames_beyond_declared", "colour_ambiguous"}
    flags |= {APPLIED, BROKEN, NOT_APPLIED, IGNORED, NEARLY_UNIFORM}
    table = text("batch/images").split("| flag in `predictions` |")[1].split("\n\n")[0]
    assert flags == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_every_flag_of_the_worklist_stands_there():
    for flag, meaning in FLAGS.items():
        assert f"| `{flag}` | {meaning} |" in text("batch/review")


def test_every_column_of_a_mark_tier_and_status_stands_there():
    for word in (*MARK_COLUMNS, *Tier, *Status):
        assert f"`{word}`" in section(text("batch/review"), "The review worklist")


@pytest.mark.parametrize("model_id", bundled_model_ids())
def test_the_figures_of_the_models_are_the_manifests(model_id):
    manifest = read_manifest(REPOSITORY / "model_artifacts" / model_id)
    rows = section(text("model_artifacts"), f"`{model_id}`").splitlines()
    measured = {name: found["melanoma"] for name, found in manifest.provenance["metrics"].items()}
    for run in manifest.provenance["held_out_runs"]:
        measured |= run["metrics"]
    for name, found in measured.items():
        row = next(line for line in rows if line.startswith(f"| {name} |"))
        assert f"| {found['images']} | {found['melanomas']} |" in row
        assert f"{found['melanoma_auc']:.3f} (" in row
        assert f"{found['at_operating_point']['sensitivity']:.3f} (" in row


def test_every_figure_on_the_front_page_is_the_default_models():
    figures = text("model_artifacts")
    table = section(TEXTS[FRONT], "How good it is").split("|---|---|---|---|\n")[1].split("\n\n")[0]
    for row in table.splitlines():
        images, melanomas, auc = (cell.strip() for cell in row.split("|")[2:5])
        assert f"| {images} | {melanomas} | {auc} |" in figures


def test_the_accuracy_of_the_reference_is_its_manifest_s():
    manifest = read_manifest(REPOSITORY / "model_artifacts" / "isic9-plain")
    classes = manifest.provenance["metrics"]["test"]["classes"]
    assert f"it is {classes['accuracy']:.1%}" in text("model_artifacts")
    assert f"(balanced {classes['balanced_accuracy']:.1%})" in text("model_artifacts")


def test_the_version_has_an_entry_in_the_changelog():
    assert f"## {__version__} " in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_no_placeholder_was_left(name):
    assert "@@" not in TEXTS[name]
    assert not re.findall(r"^[A-Z]+(?:_[A-Z]+)+$", TEXTS[name], re.MULTILINE)


def anchors(readme: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    plain = re.sub(r"^```.*?^```", "", readme, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)", TEXTS[name])
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (REPOSITORY / name).parent / file if file else REPOSITORY / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", NAMES)
def test_every_program_that_is_named_is_there(name):
    for module in set(re.findall(r"python -m ((?:batch|tests)\b[a-z_.]*[a-z])", TEXTS[name])):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_ours_that_is_named_is_there(name):
    for path in set(re.findall(r"`((?:batch|tests)/[\w/]+\.\w+)`", TEXTS[name])):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("command", command_line.commands)
def test_every_option_has_a_help_text(command):
    for param in command_line.commands[command].params:
        assert getattr(param, "help", None), (command, param.name)


def test_the_room_table_names_every_room():
    rooms = {path.name for path in Path(REPOSITORY / "batch").iterdir() if path.is_dir()}
    named = set(re.findall(r"`(\w+)/`", text("batch")))
    assert rooms - {"__pycache__"} == named
