"""Each fingerprint changes with what it names, and with nothing else."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from batch.core import fingerprints
from batch.core.fingerprints import (
    DECODERS,
    digest_of,
    failure_fingerprint,
    identity_fingerprint,
    installed_version,
)
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.core.rules import Limits, ReadingRules, Selection, parse_rules
from batch.model.manifest import read_manifest, scoring_fingerprint
from tests.support.archives import REPOSITORY


def rules(include=(), exclude=(), **changes):
    selection = Selection(parse_rules("--include", include), parse_rules("--exclude", exclude))
    return ReadingRules(selection=selection, **changes)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_counts(name):
    before = Limits()
    after = dataclasses.replace(before, **{name: getattr(before, name) + 1})
    assert failure_fingerprint(after) != failure_fingerprint(before)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoders_version_counts(decoder, monkeypatch):
    before = failure_fingerprint(Limits())

    def version(name):
        return "another" if name == decoder else installed_version(name)

    monkeypatch.setattr(fingerprints, "installed_version", version)
    assert failure_fingerprint(Limits()) != before


def test_every_decoder_is_installed_and_known_by_its_version():
    assert [name for name in DECODERS if installed_version(name) == "unknown"] == []


def test_a_library_without_metadata_has_a_version_too(monkeypatch):
    def gone(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(fingerprints, "version", gone)
    assert installed_version("Pillow") == "unknown"


XC, GM = "modality=XC", "modality=GM"
KEY, OTHER_KEY = bytes(32), bytes(31) + b"x"


@pytest.mark.parametrize(
    "changed",
    [
        rules(include=[XC]),
        rules(include=[GM]),
        rules(include=[XC, GM]),
        rules(exclude=[XC]),
        rules(exclude=["image_type=XC"]),
        rules(identifiers=IdentifierPolicy(Identifiers.NONE)),
        rules(identifiers=IdentifierPolicy(Identifiers.FULL)),
        rules(identifiers=IdentifierPolicy(key=KEY)),
        rules(identifiers=IdentifierPolicy(key=OTHER_KEY)),
    ],
)
def test_rules_identifiers_and_key_count(changed):
    """Each differs from the defaults, and from all others."""
    assert identity_fingerprint(changed) != identity_fingerprint(rules())


def test_no_two_of_some_rules_are_taken_for_each_other():
    some = [
        rules(), rules(include=[XC]), rules(exclude=[XC]), rules(include=[GM]),
        rules(include=[XC], exclude=[GM]), rules(include=[GM], exclude=[XC]),
        rules(include=[XC, GM]), rules(identifiers=IdentifierPolicy(key=KEY)),
        rules(identifiers=IdentifierPolicy(key=OTHER_KEY)),
    ]  # fmt: skip
    assert len({identity_fingerprint(one) for one in some}) == len(some)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rules(include=[XC, GM]), rules(include=[GM, XC])),
        (rules(include=["modality=xc"]), rules(include=[XC])),
        (rules(), rules(limits=Limits(frames=1))),
        (rules(), rules(young_after_ns=5)),
    ],
    ids=["order", "case", "limits", "start of the run"],
)
def test_what_gives_the_same_objects_has_the_same_fingerprint(one, other):
    assert identity_fingerprint(one) == identity_fingerprint(other)


def test_the_key_itself_is_not_in_the_fingerprint():
    policy = IdentifierPolicy(key=KEY)
    parts = [[], [], policy.level.value, policy.key_id]
    assert identity_fingerprint(rules(identifiers=policy)) == digest_of(parts)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ([1], ["1"], False),
        (["ab", "c"], ["a", "bc"], False),
        (None, [], False),
    ],
)
def test_a_digest_names_a_value(one, other, same):
    assert (digest_of(one) == digest_of(other)) == same
    assert len(digest_of(one)) == 16


def test_fingerprints_are_the_same_in_every_process():
    """Whatever the seed of Python's own hashes is; a night would read all again otherwise."""
    code = (
        "from batch.core.fingerprints import *; from batch.core.rules import Limits\n"
        "from batch.core.rules import ReadingRules\n"
        "print(failure_fingerprint(Limits()), identity_fingerprint(ReadingRules()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, env={"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    here = f"{failure_fingerprint(Limits())} {identity_fingerprint(ReadingRules())}\n"
    assert found == {here}


# --- the model's part ----


def test_scores_depend_on_weights_input_and_output_and_not_on_operating_points(bundled_artifact):
    manifest = read_manifest(bundled_artifact)
    before = scoring_fingerprint(manifest)
    points = dataclasses.replace(manifest, operating_points=())
    assert scoring_fingerprint(points) == before
    weights = dataclasses.replace(manifest, model_sha256="0" * 64)
    assert scoring_fingerprint(weights) != before
    warmer = dataclasses.replace(manifest.output, temperature=manifest.output.temperature + 1)
    assert scoring_fingerprint(dataclasses.replace(manifest, output=warmer)) != before
