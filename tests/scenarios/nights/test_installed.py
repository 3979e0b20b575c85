"""From a wheel: model and schemas travel, and the job runs outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from batch.model.artifact import bundled_model_ids
from batch.reports.schema import TABLES
from tests.support.archives import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from what git knows (or would), in a copy, without network."""
    import shutil

    source = tmp_path_factory.mktemp("source") / "tree"
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(REPOSITORY, source, ignore=ignore)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
         "--wheel-dir", str(out), str(source)],
        check=True,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel unpacked beside an interpreter that has the dependencies."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_code_model_and_schemas_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"schemas/{table}.json" for table in TABLES} <= names
    for model_id in bundled_model_ids():
        parts = ("model.keras", "manifest.json", "golden/lesion-0.png")
        assert {f"model_artifacts/{model_id}/{part}" for part in parts} <= names
    assert not [name for name in names if name.startswith("tests/")]
    assert "batch/cli.py" in names
    templates = {p.name for p in (REPOSITORY / "batch" / "review" / "page" / "templates").iterdir()}
    assert {"page.html.j2", "page.css", "page.js"} <= templates
    assert {f"batch/review/page/templates/{name}" for name in templates} <= names


def test_the_wheel_says_that_the_weights_have_a_licence_of_their_own(wheel):
    files = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
    lines = files.read(metadata).decode().splitlines()
    assert "License-Expression: Apache-2.0 AND CC-BY-NC-4.0" in lines
    assert {"License-File: LICENSE", "License-File: model_artifacts/LICENSE"} <= set(lines)
    assert "Non-commercial use only" in files.read("model_artifacts/LICENSE").decode()


def test_the_review_page_is_drawn_from_the_wheel(site, tmp_path):
    code = (
        f"import sys; sys.path.append({str(REPOSITORY)!r})\n"
        "from tests.support.worklists import worklist\n"
        "import batch.review.page.render as page\n"
        "print(page.__file__); print(page.render(worklist(3))[:15])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [str(site / "batch/review/page/render.py"), "<!DOCTYPE html>"]


def test_the_job_runs_from_the_wheel(site, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "batch", "demo", "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "demo" / "reports" / "latest" / "_SUCCESS").exists()
    assert "Scored           30 images" in run.stdout


def test_the_code_that_ran_is_the_wheels(site, tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", "import batch, schemas, model_artifacts as m; print(m.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(site))
