"""The container recipe and the locked requirements fit setup.py; nothing is built or fetched."""

from __future__ import annotations

import ast
import os
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.archives import REPOSITORY

SETUP = ast.parse((REPOSITORY / "setup.py").read_text(encoding="utf-8"))
LOCK = (REPOSITORY / ".container/requirements.txt").read_text(encoding="utf-8")
INSTRUCTIONS = re.findall(
    r"^([A-Z]+) (.+)$",
    (REPOSITORY / ".container/Containerfile").read_text(encoding="utf-8").replace("\\\n", " "),
    re.MULTILINE,
)
(BASE,) = (text for name, text in INSTRUCTIONS if name == "ARG" and text.startswith("BASE="))
BASE_PYTHON = re.fullmatch(r"BASE=docker\.io/library/python:(3\.\d+)-slim", BASE)[1]


def _setup_list(name: str) -> list[str]:
    """The list of requirements that setup.py assigns to a name."""
    (value,) = (
        node.value
        for node in SETUP.body
        if isinstance(node, ast.Assign) and [ast.unparse(to) for to in node.targets] == [name]
    )
    return ast.literal_eval(value)


def _locked() -> list[tuple[Requirement, list[str]]]:
    """Each requirement of requirements.txt with its hashes."""
    lines = [line.split("#")[0].strip() for line in LOCK.replace("\\\n", " ").splitlines()]
    entries = [line.split(" --hash=") for line in lines if line and not line.startswith("--")]
    return [
        (Requirement(entry[0].strip()), [digest.strip() for digest in entry[1:]])
        for entry in entries
    ]


LOCKED = {canonicalize_name(requirement.name): requirement for requirement, _ in _locked()}


@pytest.mark.parametrize("wanted", [*_setup_list("REQUIRES"), *_setup_list("S3")])
def test_the_lock_has_every_requirement_of_setup_within_its_bounds(wanted):
    requirement = Requirement(wanted)
    locked = LOCKED.get(canonicalize_name(requirement.name))
    remedy = "run .container/lock again"
    assert locked is not None, f"{requirement.name} is missing: {remedy}"
    (pin,) = locked.specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version), f"{locked} is not {wanted}: {remedy}"


def test_every_locked_requirement_is_one_version_with_hashes():
    assert len(_locked()) == len(LOCKED)
    for requirement, hashes in _locked():
        assert re.fullmatch(r"==[0-9][^*,]*", str(requirement.specifier)), requirement
        assert hashes, f"{requirement}: no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_the_lock_builds_nothing_and_tells_no_index():
    options = [line for line in LOCK.splitlines() if line.startswith("--")]
    assert options == ["--only-binary :all:"]
    assert "://" not in LOCK


def test_the_lock_tells_its_command_for_the_python_of_the_image():
    command = LOCK.splitlines()[1].removeprefix("#").strip()
    assert os.access(REPOSITORY / command, os.X_OK), f"{command} cannot be started"
    steps = (REPOSITORY / command).read_text(encoding="utf-8").replace("\\\n", " ")
    build, compiles = re.findall(r"^.*\buv (?:build|pip compile) .*$", steps, re.MULTILINE)
    # uv asks setup.py by building it, which --no-build forbids: the wheel comes first
    assert "uv build" in build
    assert '"${wheel}[s3]"' in compiles
    for option in ("--generate-hashes", "--no-build", f"--python-version {BASE_PYTHON}"):
        assert option in compiles
    assert f"UV_CUSTOM_COMPILE_COMMAND={command} " in compiles


def test_the_program_is_built_with_locked_setuptools():
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    for wanted in map(Requirement, build["build-system"]["requires"]):
        (pin,) = LOCKED[canonicalize_name(wanted.name)].specifier
        assert wanted.specifier.contains(pin.version)


def test_the_image_has_a_python_that_setup_supports():
    (supported,) = (
        word.value.value
        for node in ast.walk(SETUP)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "python_requires"
    )
    assert SpecifierSet(supported).contains(Version(f"{BASE_PYTHON}.99"))
    assert {text.split()[0] for name, text in INSTRUCTIONS if name == "FROM"} == {"${BASE}"}


def test_the_program_does_not_run_as_root():
    stages = [place for place, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM"]
    users = [text for name, text in INSTRUCTIONS[stages[-1] :] if name == "USER"]
    assert users, "the last stage has no USER: the program would run as root"
    user, group = users[-1].split(":")
    assert int(user) > 0, "a number: `runAsNonRoot` of Kubernetes cannot check a name"
    assert int(group) > 0


def test_requirements_are_installed_by_hash_and_the_program_without_dependencies():
    requirements, program = (text for name, text in INSTRUCTIONS if "pip install" in text)
    assert "--require-hashes" in requirements
    for option in ("--no-index", "--no-deps", "--no-build-isolation"):
        assert option in program


def test_the_image_takes_from_the_checkout_what_setup_packages():
    copied = {
        source
        for name, text in INSTRUCTIONS
        if name == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    }
    assert all((REPOSITORY / source).exists() for source in copied)
    packages = next(
        word.value
        for node in ast.walk(SETUP)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "packages"
    )
    named = {node.value for node in ast.walk(packages) if isinstance(node, ast.Constant)}
    assert {name for name in named if "." not in name} <= copied


def test_the_image_starts_the_program():
    assert ("ENTRYPOINT", '["melanoma-batch"]') in INSTRUCTIONS
