"""Imports point downward, and each outside library has the rooms that may know it."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.support.archives import REPOSITORY

# From the bottom up. A room may import what stands before it, and itself.
ROOMS = (
    ("errors",),
    (
        "records",
        "quiet",
        "permanent",
        "arenas",
        "ahead",
        "repeating",
        "progress",
        "interrupt",
        "schedule",
        "terminal",
        "near",
        "private",
        "log_json",
    ),
    ("command_parser",),
    ("objects",),
    ("failures",),
    ("run_log",),
    ("archive",),
    ("config",),
    ("model",),
    ("review",),
    ("reports",),
    ("demo",),
    ("dofns",),
    ("transforms",),
    ("runners",),
    ("pipeline",),
    ("crew",),
    ("settings",),
    ("segments",),
    ("night",),
    ("operations", "job_arguments"),
    ("artifact_arguments", "review_arguments"),
    ("arguments", "bar", "console", "options", "run_files", "training"),
    ("score_command", "training_commands"),
    ("cli", "worker"),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}

# Library to the modules that may import it. Training and demo are not on the scoring path.
OWNERS = {
    "PIL": {"archive.raster", "archive.raster_colours", "archive.pictures",
            "archive.colour_profiles", "demo.archive", "demo.dicom_writer", "training.splits",
            "training.golden_cases"},
    "pydicom": {"archive.dicom", "archive.dicom_frames", "archive.dicom_native",
                "archive.dicom_order", "archive.dicom_palette", "archive.dicom_parsing",
                "archive.dicom_values", "demo.dicom_writer"},
    "imagecodecs": {"archive.codecs", "archive.raster_codecs"},
    "jpeg_ls": {"archive.codecs"},
    "openjpeg": {"archive.codecs"},
    "rle": {"archive.codecs"},
    "tensorflow": {"model.classifier", "quiet", "training.augment", "training.batches",
                   "training.literature", "training.long_batches"},
    "keras": {"model.classifier", "quiet", "training.networks", "training.fit",
              "training.backbone", "training.long_course", "training.losses",
              "training.course_parts", "training.short_course"},
    "cykooz_resizer": {"archive.resizing"},
    "pyarrow": {"reports.tables", "reports.memory", "reports.plan",
                "reports.known",
                "reports.carried", "reports.reuse", "reports.points", "reports.gathering",
                "reports.review_inputs"},
    "prometheus_client": {"operations.metrics"},
    "fsspec": {"objects.store"},
    "s3fs": {"objects.store"},
    "apache_beam": {"dofns", "transforms", "runners", "pipeline", "worker"},
    "pandas": {"training.batches", "training.by_source", "training.described",
               "training.long_batches",
               "training.figures", "training.fit", "training.plots",
               "training.sources", "training.datasets", "training.splits", "training.evaluate",
               "training.export", "training.evaluation_inputs", "training.evaluation_checks",
               "training.matching", "training.subgroups", "training.labelled",
               "training.label_keys", "training.trained_on",
               "training.label_table",
               "training.literature", "training.reference", "training.remeasure", "review.contract",
               "review.frames", "review.grouping", "review.marks", "review.page_rows",
               "review.thumbnails", "review.tier_changes", "review.tiers", "review.whole",
               "review.worklist", "reports.morning", "reports.review_inputs",
               "reports.review_outputs"},
    "pydantic": {"model.manifest"},
    "jinja2": {"review.page"},
    "markupsafe": {"review.page", "review.page_summary"},
    "tqdm": {"bar"},
    "sklearn": {"training.splits", "training.plots"},
    "matplotlib": {"training.plots"},
    "scipy": {"training.splits", "training.operating_point", "training.temperature",
              "training.shortcuts"},
    "imagehash": {"training.splits"},
}  # fmt: skip

MODULES = sorted((REPOSITORY / "batch").rglob("*.py"))


def _module(path):
    return ".".join(path.relative_to(REPOSITORY / "batch").with_suffix("").parts)


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=_module)
def test_imports_point_downward(path):
    room = _module(path).split(".")[0]
    if room == "__init__":
        assert not [name for name in _imports(path) if not name.startswith("__future__")]
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "batch" or parts[1:] == ["__version__"]:
            continue
        assert RANK[parts[1]] < RANK[room] or parts[1] == room, f"{room} imports {name}"


def test_siblings_do_not_import_each_other():
    """Rooms of one rank are siblings; the test above lets a room import itself only."""
    assert all(len(set(names)) == len(names) for names in ROOMS)
    assert RANK["training"] == RANK["console"]


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_known_where_it_is_named_and_nowhere_else(library):
    found = {
        _module(path)
        for path in MODULES
        for name in _imports(path)
        if name.split(".")[0] == library
    }
    assert found == OWNERS[library]


def test_no_module_is_longer_than_300_lines():
    long = {_module(p): n for p in MODULES if (n := len(p.read_text().splitlines())) > 300}
    assert not long


def test_nothing_on_the_scoring_path_imports_training():
    scoring = [p for p in MODULES if not _module(p).startswith(("training", "cli"))]
    assert not [p for p in scoring for name in _imports(p) if name.startswith("batch.training")]


HEAVY = ("tensorflow", "keras", "apache_beam", "pyarrow", "pandas", "PIL", "pydicom", "numpy",
         "fsspec", "scipy", "sklearn")  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    ["import batch", "import batch.cli", "from batch.cli import parser; parser().format_help()"],
)
def test_importing_the_package_and_asking_for_help_load_no_library(statement):
    code = f"{statement}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_help_of_every_command_loads_no_library():
    code = (
        "import argparse, sys\nfrom batch.arguments import parser\nfrom batch.cli import main\n"
        "(sub,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))\n"
        "assert len(sub.choices) >= 9\n"
        "for words in ([], *([name] for name in sub.choices)):\n"
        "    try:\n        main([*words, '--help'])\n    except SystemExit as end:\n"
        "        assert end.code == 0\n"
        f"assert not [m for m in {HEAVY} if m in sys.modules]\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
