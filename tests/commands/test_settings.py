"""Where an option's value comes from, in which order, and what a file of settings may hold."""

from __future__ import annotations

import json
import os

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


def test_inventory_takes_the_variables_of_score_and_its_own_first(place, capsys, monkeypatch):
    monkeypatch.setenv("MELANOMA_BATCH_SCORE_ORDER", "path")
    monkeypatch.setenv("MELANOMA_BATCH_SCORE_SETTLE", "5")
    monkeypatch.setenv("MELANOMA_BATCH_INVENTORY_SETTLE", "6")
    assert main(["config", "inventory"]) == ExitCode.COMPLETE
    shown = capsys.readouterr()
    lines = {line.split()[0]: line.split() for line in shown.out.splitlines()}
    assert lines["--order"][1:] == ["path", "environment"]
    assert lines["--settle"][1:] == ["6", "environment"]
    assert shown.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--limit", "sides=3"), "--limit"),
        (("--deadline", "25:00"), "--deadline"),
        (("--lesion-pattern", "("), "--lesion-pattern"),
        (("--include", "modality"), "--include"),
        (("--patient-key-file", "no.key"), "--patient-key-file"),
    ],
)
def test_config_refuses_what_score_would_not_begin_with(place, capsys, words, message):
    assert main(["config", "score", "archive", "--output", "reports", *words]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (place / "reports").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demo", "s3://bucket/demo"], "allowed: a path of this machine"),
        (["score", "archive", "--output", "r", "--log-file", ""], "needed: a path"),
        (["worklist", "r", "--output", "s3://bucket/list"], "allowed: a path of this machine"),
    ],
)
def test_what_must_be_a_path_of_this_machine_is_no_url_and_not_empty(place, capsys, words, message):
    assert main(words) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["archive"]


def test_no_hint_names_what_a_file_may_not_hold(place, capsys):
    (place / "job.toml").write_text("[score]\nconfig = 'other.toml'\n")
    assert main(["score", "archive", "--config", "job.toml"]) == ExitCode.USAGE
    message = capsys.readouterr().err
    assert "knows no option 'config'" in message
    assert "Did you mean 'config'" not in message


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell, capsys):
    assert main(["completion", shell]) == ExitCode.COMPLETE
    assert "_MELANOMA_BATCH_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("melanoma-batch wor", "1", "worklist"),
        ("melanoma-batch score --ord", "2", "--order"),
        ("melanoma-batch config inv", "2", "inventory"),
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


def night(place, name, text):
    """A published night whose run.json has this text."""
    folder = place / "reports" / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    (folder / "_SUCCESS").touch()
    latest = place / "reports" / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(f"runs/{name}")


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"options": 3}', "{"])
def test_options_of_the_last_night_that_can_be_read_are_taken_over(place, capsys, damaged):
    """A damaged run.json must not lower the level of identifiers."""
    options = {"identifiers": "none", "exclude": ["modality=OT"], "lesion_pattern": "(?P<lesion>a)"}
    night(place, "20260101T000000Z-aaaa", json.dumps({"options": options}))
    night(place, "20260102T000000Z-bbbb", damaged)
    found = shown(capsys, "archive", "--output", "reports")
    assert found["--identifiers"] == ("none", "last run")
    assert found["--exclude"] == ("modality=OT", "last run")
    assert found["--lesion-pattern"] == ("(?P<lesion>a)", "last run")


def test_nights_of_which_none_can_be_read_are_refused_unless_the_level_is_said(place, capsys):
    night(place, "20260101T000000Z-aaaa", "")
    assert main(["score", "archive", "--output", "reports"]) == ExitCode.USAGE
    assert "has 1 nights, and no run.json of them can be read" in capsys.readouterr().err
    found = shown(capsys, "archive", "--output", "reports", "--identifiers", "none")
    assert found["--identifiers"] == ("none", "command line")


@pytest.mark.parametrize("level", [["x"], {"a": 1}, 3, None])
def test_a_level_of_another_type_is_passed_over(level):
    assert remembered_options({"identifiers": level}) == {}


def test_the_environment_never_asks_for_the_version(place, capsys, monkeypatch):
    monkeypatch.setenv("MELANOMA_BATCH_VERSION", "1")
    assert shown(capsys, "archive")["ARCHIVE"] == ("archive", "command line")
    monkeypatch.setenv("MELANOMA_BATCH_VERSION", "0.1.0")
    assert shown(capsys, "archive")["ARCHIVE"] == ("archive", "command line")


@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        ("MELANOMA_BATCH_SCORE_OUTPT", True),
        ("MELANOMA_BATCH_SCORE_NO_PICTURES", True),
        ("MELANOMA_BATCH_SCORE_OUTPUT", False),
        ("MELANOMA_BATCH_DATA", False),
        ("MELANOMA_BATCH_SITE", False),
    ],
)
def test_a_misspelt_variable_is_told(place, capsys, monkeypatch, name, is_told):
    monkeypatch.setenv(name, "x")
    main(["config", "score", "archive"])
    assert (
        f"{name} in the environment is no option; ignored" in capsys.readouterr().err
    ) == is_told


@pytest.mark.parametrize("word", ["", "  "])
@pytest.mark.parametrize("words", [["{}", "--output", "reports"], ["archive", "--output", "{}"]])
def test_an_empty_word_is_no_folder(place, capsys, word, words):
    given = [part.format(word) for part in words]
    assert main(["score", *given]) == ExitCode.USAGE
    assert "needed: a path. A dot means the present folder." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[score]\nsettle = " + b"9" * 5000, "is no TOML"),
        (b"[score]\ninclude = " + b"[" * 20_000, "is no"),
        (b"[score]\noutput = 'a'\n\xff", "not UTF-8 (byte 22). Save it as UTF-8."),
        ("[score]\noutput = 'a'".encode("utf-16"), "Save it as UTF-8."),
        (b"#" * (1 << 20) + b"#", "has more than 1 MiB"),
        (b'[score]\noutput = "a\\u0000b"', "needed: a path"),
        (b"[score]\nmodel = true", "allowed: text or a number"),
        (b"[score]\nmax-duration = '1h'\nmax_duration = '2h'", "which are one option"),
    ],
)
def test_an_odd_file_is_refused_in_words(place, capsys, data, message):
    (place / "job.toml").write_bytes(data)
    assert main(["config", "score", "--config", "job.toml"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert message in told or "nested too deeply" in told


def test_a_file_with_a_mark_of_byte_order_is_read(place, capsys):
    (place / "job.toml").write_bytes(b"\xef\xbb\xbf[score]\r\nsettle = 5\r\n")
    assert shown(capsys, "--config", "job.toml")["--settle"] == ("5", "file")


def test_pipes_are_refused_and_not_waited_for(place, capsys):
    os.mkfifo(place / "pipe", 0o600)
    assert main(["config", "score", "--config", "pipe"]) == ExitCode.USAGE
    assert "no regular file" in capsys.readouterr().err
    words = ["score", "archive", "--output", "reports", "--patient-key-file", "pipe"]
    assert main(words) == ExitCode.USAGE
    assert "pipe is no regular file" in capsys.readouterr().err


def test_a_home_of_nobody_is_refused_in_words(place, capsys):
    words = ["score", "archive", "--output", "~nobody-of-this-name/x"]
    assert main(words) == ExitCode.USAGE
    assert "cannot resolve" in capsys.readouterr().err


def test_no_terminal_obeys_what_is_shown(place, capsys, monkeypatch):
    monkeypatch.setenv("MELANOMA_BATCH_SCORE_LOG_FILE", "a\x1b]0;evil\x07\nb")
    assert main(["config", "score"]) == ExitCode.COMPLETE
    assert main(["score", "nothing\x1b[31mred", "--output", "reports"]) == ExitCode.USAGE
    told = "".join(capsys.readouterr())
    assert "\x1b" not in told
    assert "\x07" not in told


def test_a_password_in_an_address_is_masked(place, capsys):
    main(["score", "archive", "--output", "s3://AK:SEKRIT@Bad_Bucket/x"])
    main(["config", "serve", "reports", "--url", "https://u:SEKRIT@h/"])
    told = "".join(capsys.readouterr())
    assert "SEKRIT" not in told
    assert "********@" in told
