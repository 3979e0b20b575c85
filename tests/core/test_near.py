"""A mistyped word is answered with what was probably meant, and a foreign one with nothing."""

from __future__ import annotations

import pytest

from batch.cli import main
from batch.core.errors import ExitCode
from batch.core.text import did_you_mean

A, R = "archive", "reports"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("scor", " Did you mean 'score'?"), ("SCORE", " Did you mean 'score'?"),
     ("runes", " Did you mean 'runs'?"), ("xyzzy", ""), ("", "")],
)  # fmt: skip
def test_the_nearest_is_named_when_it_is_near(word, expected):
    assert did_you_mean(word, ["score", "runs", "prune"]) == expected


def test_nothing_allowed_is_nothing_near():
    assert did_you_mean("score", []) == ""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / A).mkdir()
    (tmp_path / A / "a.jpg").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("scroe", A, "--output", R), "'score'"),
        (("worklst", R), "'worklist'"),
        (("score", A, "--ouput", R), "'--output'"),
        (("score", A, "--output", R, "--picture"), "'--pictures'"),
        (("score", A, "--output", R, "--modell=x"), "'--model'"),
        (("score", A, "--output", R, "--identifiers", "uid"), "'uids'"),
        (("score", A, "--output", R, "--order", "newset"), "'newest'"),
        (("prune", R, "--dryrun"), "'--dry-run'"),
        (("score", A, "--output", R, "--model", "isic9_plain"), "'isic9-plain'"),
        (("score", A, "--output", R, "--model", "dermoscopy-lite"), "'dermoscopy-lite2'"),
        (("score", A, "--output", R, "--operating-point", "sensitivity-095"), "'sensitivity-0.95'"),
        (("score", A, "--output", R, "--limit", "pixel=5"), "'pixels'"),
        (("score", A, "--output", R, "--limit", "decode-seconds=5"), "'decode_seconds'"),
        (("score", A, "--output", R, "--include", "modalty=XC"), "'modality'"),
        (("score", A, "--output", R, "--exclude", "Image_Type=X"), "'image_type'"),
        (("score", A, "--output", R, "--", "--direct_num_worker", "2"), "'--direct_num_workers'"),
        (("score", A, "--output", R, "--", "--runner", "FlinkRuner"), "'FlinkRunner'"),
        (("train", "isic9-plane", "--data", A, "--output", "x"), "'isic9-plain'"),
        (("train", "dermoscopy-lite0", "--data", A, "--output", "x", "--hold-out", "ham1000"),
         "'ham10000'"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_was_meant_is_said(place, capsys, words, meant):
    assert code_of(words) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert f"Did you mean {meant}?" in error or meant in error
    assert "Did you mean" in error


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate", R),
        ("score", A, "--output", R, "--xyzzy"),
        ("score", A, "--output", R, "--model", "/opt/models/ours"),
        ("score", A, "--output", R, "--limit", "frames=many"),
        ("score", A, "--output", R, "--include", "modality"),
    ],
)
def test_nothing_is_guessed_where_nothing_is_near(place, capsys, words):
    assert code_of(words) == ExitCode.USAGE
    assert "Did you mean" not in capsys.readouterr().err


def test_an_unknown_option_is_told_with_the_usage_of_its_command(place, capsys):
    code_of(("runs", R, "--lst", "3"))
    error = capsys.readouterr().err
    assert "Usage: melanoma-batch runs [OPTIONS] REPORTS" in error
    assert "No such option '--lst'" in error


def code_of(words):
    try:
        return main(words)
    except SystemExit as end:
        return end.code
