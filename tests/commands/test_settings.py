"""Where an option's value comes from, in which order, and what a file of settings may hold."""

from __future__ import annotations

import json

import pytest

from batch.cli import main
from batch.commands.remembered import remembered_options
from batch.core.errors import ExitCode


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "archive").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys, *words) -> dict[str, tuple[str, str]]:
    """What `config` prints: option to value and source."""
    assert main(["config", "score", *words]) == ExitCode.COMPLETE
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return {name: (value, source) for name, value, source in cells}


def last_run(place, **options):
    latest = place / "reports" / "latest"
    latest.mkdir(parents=True)
    (latest / "run.json").write_text(json.dumps({"options": options}))


def test_command_line_environment_file_last_run_default_in_this_order(place, capsys, monkeypatch):
    last_run(place, identifiers="full", include=["modality=XC"], exclude=["modality=SR"])
    (place / "job.toml").write_text(
        '[score]\noutput = "reports"\nidentifiers = "none"\nbatch-size = 8\n'
        'include = ["modality=DMS", "modality=XC"]\npictures = true\n'
    )
    monkeypatch.setenv("MELANOMA_BATCH_SCORE_BATCH_SIZE", "4")
    monkeypatch.setenv("MELANOMA_BATCH_SCORE_LIMIT", "frames=9\nside=8")
    found = shown(capsys, "archive", "--config", "job.toml", "--order", "path")
    assert found["ARCHIVE"] == ("archive", "command line")
    assert found["--order"] == ("path", "command line")
    assert found["--batch-size"] == ("4", "environment")
    assert found["--limit"] == ("frames=9, side=8", "environment")
    assert found["--identifiers"] == ("none", "file")
    assert found["--include"] == ("modality=DMS, modality=XC", "file")
    assert found["--pictures"] == ("True", "file")
    assert found["--exclude"] == ("modality=SR", "last run")
    assert found["--settle"] == ("0", "default")
    monkeypatch.setenv("MELANOMA_BATCH_CONFIG", "job.toml")
    assert shown(capsys)["--identifiers"] == ("none", "file")
    assert shown(capsys, "--no-pictures")["--pictures"] == ("False", "command line")


def test_a_first_run_remembers_nothing(place, capsys):
    found = shown(capsys, "archive", "--output", "reports")
    assert found["--identifiers"] == ("uids", "default")
    assert found["--output"] == ("reports", "command line")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, {}),
        ([], {}),
        ({"identifiers": "all", "include": "x", "exclude": [3], "patient_key_file": 7}, {}),
        ({"identifiers": "none", "include": [], "batch_size": 3}, {"identifiers": "none"}),
        ({"include": ["modality=DMS"]}, {"include": ("modality=DMS",)}),
    ],
)
def test_only_what_identifies_is_remembered_and_odd_values_are_passed_over(told, expected):
    assert remembered_options(told) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[score]\nouput = 'x'", "[score] knows no option 'ouput'. Did you mean 'output'?"),
        ("[scroe]\noutput = 'x'", "found 'scroe'; allowed: one table for a command"),
        ("output = 'x'", "found 'output'; allowed: one table for a command"),
        ("[score]\nmodel = ['a']", "allowed: one value"),
        ("[score]\npictures = 'yes'", "allowed: true or false"),
        ("[score]\ninclude = [['a']]", "allowed: a value, or a list of values"),
        ("[score", "is no TOML"),
        ("[score]\nbatch-size = 'x'", "found x; allowed: a whole number"),
        ("[score]\norder = 'newset'", "Did you mean 'newest'?"),
    ],
)
def test_a_file_with_what_nobody_knows_is_refused(place, capsys, text, message):
    (place / "job.toml").write_text(text)
    words = ["score", "archive", "--output", "reports", "--config", "job.toml"]
    assert main(words) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (place / "reports").exists()


def test_a_file_that_is_not_there_is_named(place, capsys):
    assert main(["score", "archive", "--config", "no.toml"]) == ExitCode.USAGE
    assert "cannot read no.toml" in capsys.readouterr().err


def test_inventory_has_the_table_of_score(place, capsys):
    (place / "job.toml").write_text('[score]\nsettle = 5\norder = "path"\n[inventory]\nsettle=6\n')
    assert main(["config", "inventory", "--config", "job.toml"]) == ExitCode.COMPLETE
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["--settle"][1:] == ["6", "file"]
    assert lines["--order"][1:] == ["path", "file"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell, capsys):
    assert main(["completion", shell]) == ExitCode.COMPLETE
    assert "_MELANOMA_BATCH_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("melanoma-batch wor", "1", "worklist"),
        ("melanoma-batch score --ord", "2", "--order"),
        ("melanoma-batch score --order new", "3", "newest"),
    ],
)
def test_a_shell_is_told_what_begins_so(monkeypatch, capsys, words, position, expected):
    monkeypatch.setenv("_MELANOMA_BATCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", position)
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert expected in capsys.readouterr().out


def test_help_fits_80_columns_and_begins_with_what_a_first_run_needs(capsys):
    for command in ("score", "inventory", "worklist", "evaluate", "calibrate", "train", "wrap"):
        assert main([command, "--help"]) == ExitCode.COMPLETE
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80, command
        assert "None" not in text
    assert main(["score", "--help"]) == ExitCode.COMPLETE
    sections = capsys.readouterr().out.split("\n\n")
    (first,) = [each for each in sections if each.startswith("A first run needs:")]
    assert first.count("\n  --") == 5
