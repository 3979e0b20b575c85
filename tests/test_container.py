"""The locked packages satisfy setup.py, each with a hash; the container is not root's."""

from __future__ import annotations

import re
import runpy
import sys
from unittest.mock import patch

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support.archives import REPOSITORY

FOLDER = REPOSITORY / ".container"


@pytest.fixture(scope="module")
def wanted():
    with patch("setuptools.setup") as called, patch.object(sys, "argv", ["setup.py"]):
        runpy.run_path(str(REPOSITORY / "setup.py"))
    return called.call_args.kwargs


@pytest.fixture(scope="module")
def locked():
    text = (FOLDER / "requirements.txt").read_text()
    blocks = re.findall(r"^(\S+)==(\S+?)(?: ;[^\\]*)? \\\n((?: +--hash=.*\n?)+)", text, re.M)
    assert len(blocks) == len(re.findall(r"^[A-Za-z]", text, re.M))  # nothing without a hash
    return {canonicalize_name(name.split("[")[0]): version for name, version, _ in blocks}


def test_every_requirement_is_locked_within_its_bounds(wanted, locked):
    requirements = [*wanted["install_requires"], *wanted["extras_require"]["s3"]]
    assert len(requirements) > 15
    for words in requirements:
        requirement = Requirement(words)
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{words}: {version} is locked"


def test_the_container_runs_as_nobody_in_particular(wanted):
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert int(user) >= 1000
    bases = [re.search(r"^FROM python:([\d.]+)-slim", line) for line in lines]
    versions = {match[1] for match in bases if match}
    assert len(versions) == 1
    assert SpecifierSet(wanted["python_requires"]).contains(f"{versions.pop()}.0")


def test_everything_that_is_packaged_is_copied(wanted):
    text = (FOLDER / "Containerfile").read_text()
    for package in {name.split(".")[0] for name in wanted["packages"]}:
        assert f"COPY {package} {package}" in text
