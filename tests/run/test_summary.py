"""What is said at a night's end, and that `inventory` takes what `score` takes."""

from __future__ import annotations

import pytest

from batch.cli import main
from batch.commands.command_line import command_line
from batch.core.errors import ExitCode
from batch.run import score_run as night_module
from tests.scenarios.faults.nights import write_image
from tests.support.small_model import SCORE


@pytest.fixture
def words(tmp_path):
    for number in range(3):
        write_image(tmp_path / "archive" / f"{number}.png", number)
    return [*SCORE, str(tmp_path / "archive"), "--output", str(tmp_path / "reports")]


def test_the_page_is_named_at_the_end(words, tmp_path, capsys):
    assert main(words) == ExitCode.COMPLETE
    page = (tmp_path / "reports" / "latest").resolve() / "review_worklist.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"Page       {page}"
    assert page.is_file()


def test_a_page_that_could_not_be_made_is_not_named(words, capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("batch.review.page.render.render", fail)
    assert main(words) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert "Page  " not in said
    assert "Left out   page of the review" in said


def test_an_unusual_night_is_told_everywhere(words, tmp_path, capsys, monkeypatch):
    make_review = night_module.make_review

    def unusual(*arguments):
        said = make_review(*arguments)
        drift = [{"name": "device", "label": "device", "unusual": True}]
        sentences = ["Unusual night: device. Look at cameras, export and model before relying on "
                     "tonight's list."]  # fmt: skip
        return said | {"unusual": True, "drift": drift, "sentences": sentences}

    monkeypatch.setattr(night_module, "make_review", unusual)
    metrics = tmp_path / "m.prom"
    assert main([*words, "--metrics-file", str(metrics)]) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert "Unusual    Unusual night: device. Look at cameras" in said
    assert said.index("Unusual  ") < said.index("Alerts  ")
    (log,) = (tmp_path / "reports" / "logs").glob("*.log")
    assert "WARNING batch.commands.score unusual night: device" in log.read_text()
    assert "melanoma_batch_unusual 1.0" in metrics.read_text()
    assert main(["runs", str(tmp_path / "reports")]) == 0
    assert "unusual: device" in capsys.readouterr().out


def test_a_usual_night_is_not_told(words, tmp_path, capsys):
    metrics = tmp_path / "m.prom"
    assert main([*words, "--metrics-file", str(metrics)]) == ExitCode.COMPLETE
    assert "Unusual" not in capsys.readouterr().out
    assert "melanoma_batch_unusual 0.0" in metrics.read_text()


def options_of(command: str) -> dict[str, dict[str, object]]:
    params = command_line.commands[command].params
    return {param.name: {"opts": param.opts, "default": str(param.default),
                         "type": param.type.name, "multiple": param.multiple}
            for param in params if param.param_type_name == "option"}  # fmt: skip


def test_inventory_takes_every_option_of_score():
    score, inventory = options_of("score"), options_of("inventory")
    assert len(score) > 25
    assert inventory.pop("json")["opts"] == ["--json"]
    assert inventory == score


def test_inventory_with_score_s_options_writes_nothing_and_refuses_what_score_refuses(
    words, tmp_path, capsys
):
    more = ["--metrics-file", str(tmp_path / "m"), "--log-file", str(tmp_path / "l"),
            "--log-format", "json", "--max-unscored-rate", "0.5", "--no-pictures", "--explain", "3",
            "--lesion-pattern", "(?P<lesion>.)"]  # fmt: skip
    assert main(["inventory", *words[1:], *more]) == ExitCode.COMPLETE
    assert "To be read          3" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    assert main(["inventory", *words[1:], "--lesion-pattern", "("]) == ExitCode.USAGE
    assert main(["inventory", *words[1:], "--max-unscored-rate", "2"]) == ExitCode.USAGE
    assert main(["inventory", *words[1:], "--reviewed", str(tmp_path / "no")]) == ExitCode.USAGE
