"""Progress: a line for each phase, a bar while files are scored, and no run hangs on a terminal."""

from __future__ import annotations

import io
import sys

from batch.runtime import terminal as bar_module
from batch.runtime.terminal import FILES_READ, Progress
from tests.support.archives import on_a_terminal
from tests.support.small_model import SCORE


def test_phases_follow_each_other_and_the_bar_counts(capsys):
    with Progress(visible=True) as progress:
        progress.phase("listing")
        progress.phase("scoring")
        progress.found(3)
        FILES_READ.add(2)
        progress.done(3)
        progress.phase("gathering")
        progress.phase("publishing")
    shown = capsys.readouterr().err.replace("\r", "\n").split("\n")
    last = [line.strip() for line in shown if line.strip()]
    assert any(line.startswith("scoring: 100%") and "3/3" in line for line in last)
    heads = [line.split()[0].rstrip(":") for line in last]
    assert [h for i, h in enumerate(heads) if h not in heads[:i]] == [
        "listing", "scoring", "gathering", "publishing",
    ]  # fmt: skip


def test_what_another_run_of_this_process_read_is_not_counted(capsys):
    FILES_READ.add(7)
    with Progress(visible=True) as progress:
        progress.found(10)
    assert "0/10" in capsys.readouterr().err


def test_without_a_terminal_the_log_has_the_phases(capsys, caplog):
    caplog.set_level("INFO", "batch")
    with Progress() as progress:
        for name in ("listing", "scoring", "review"):
            progress.phase(name)
        progress.found(1)
    assert capsys.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records] == [
        "listing begins", "scoring begins", "review begins",
    ]  # fmt: skip


def test_a_run_that_ends_before_anything_leaves_no_thread(capsys):
    with Progress(visible=True) as progress:
        pass
    assert not progress._thread.is_alive()


def test_a_terminal_that_goes_away_ends_the_bar_and_not_the_run(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(bar_module, "BAR_SECONDS", 0.01)

    def gone(*_):
        raise OSError(5, "Input/output error")

    with Progress(visible=True) as progress:
        progress.phase("listing")
        monkeypatch.setattr(screen, "write", gone, raising=False)
        monkeypatch.setattr(screen, "flush", gone, raising=False)
        progress.found(5)
        progress.done(5)
        progress.phase("gathering")
        progress.phase("publishing")


def test_a_person_sees_every_phase(generated_archive, tmp_path):
    code, seen = on_a_terminal(
        *SCORE, str(generated_archive), "--output", str(tmp_path / "r"),
        "--max-unscored-rate", "1", "--explain", "1",
    )  # fmt: skip
    assert code == 0, seen
    phases = ["listing", "scoring", "gathering", "review", "pictures", "attention", "publishing"]
    places = [seen.index(f"{name} 00:") for name in phases]
    assert places == sorted(places)
    assert seen.rindex("23/23") < seen.index("gathering 00:")
