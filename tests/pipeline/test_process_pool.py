"""Processes side by side: order, failures, and nothing left behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from batch.core.errors import ArtifactRefused, BatchError, NoImagesFound, RunnerFailed, StoreFailed
from batch.pipeline.process_pool import TASKS_A_PROCESS, ProcessPool
from batch.runtime.terminal import FILES_READ


def note(folder: Path, task: int) -> None:
    """Tasks of odd number take longer, so that they are done out of order."""
    time.sleep(0.05 * (task % 2))
    FILES_READ.add(10)
    (folder / str(task)).write_text(str(os.getpid()))


def stop_at(folder: Path, task: int) -> None:
    """The third task ends its process."""
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    note(folder, task)


def refuse(task: Exception) -> None:
    raise task


def wrap(_task: int) -> None:
    """As an engine does: what lies behind is of another kind."""
    try:
        raise OSError(28, "No space left on device", "/a/patient/name.jpg")
    except OSError as error:
        raise RuntimeError("while reading /a/patient/name.jpg") from error


class Loud:
    """Work whose arrival in another process makes a library speak, as importing some does."""

    def __init__(self, name: str) -> None:
        logging.getLogger().warning("%s", name)
        self.name = name

    def __reduce__(self) -> tuple[type[Loud], tuple[str]]:
        return Loud, (self.name,)

    def __call__(self, task: int) -> None:
        logging.getLogger().warning("%s", self.name)


def no_child_is_left() -> bool:
    return not [child for child in multiprocessing.active_children() if child.name == "segments"]


def test_every_task_is_done_once_and_given_in_order(tmp_path):
    before = FILES_READ.value
    with ProcessPool(partial(note, tmp_path), 2) as crew:
        assert list(crew.finished(iter(range(7)))) == list(range(7))
    pids = {(tmp_path / str(task)).read_text() for task in range(7)}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids
    assert FILES_READ.value - before == 70
    assert no_child_is_left()


def test_no_task_is_asked_for_before_a_process_is_free(tmp_path):
    given: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(9):
            given.append(task)
            yield task

    with ProcessPool(partial(note, tmp_path), 2) as crew:
        for done, _ in enumerate(crew.finished(tasks())):
            assert len(given) - done <= TASKS_A_PROCESS * 2
    assert given == list(range(9))


def test_no_task_is_no_work(tmp_path):
    with ProcessPool(partial(note, tmp_path), 1) as crew:
        assert list(crew.finished(iter(()))) == []


@pytest.mark.parametrize(
    "error",
    [
        NoImagesFound("ARCHIVE: none"),
        RunnerFailed("Flink", "LOST"),
        StoreFailed("--output", "s3://x", "nothing", "Look."),
        ArtifactRefused("golden", 1, 2, "Train again."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_of_ours_comes_back_as_it_was(error):
    with pytest.raises(type(error)) as found, ProcessPool(refuse, 1) as crew:
        list(crew.finished(iter([error])))
    assert str(found.value) == str(error)
    assert vars(found.value) == vars(error)
    assert no_child_is_left()


def test_a_failing_disk_is_told_without_the_names_that_the_error_quotes():
    with pytest.raises(OSError, match="No space left") as found, ProcessPool(wrap, 1) as crew:
        list(crew.finished(iter([1])))
    assert found.value.errno == 28
    assert "patient" not in str(found.value)


def test_any_other_error_is_told_by_its_kind(caplog):
    with pytest.raises(RuntimeError, match="^ZeroDivisionError$"), ProcessPool(refuse, 1) as crew:
        list(crew.finished(iter([ZeroDivisionError("a patient's name")])))
    assert "ZeroDivisionError at test_process_pool.py" in caplog.text
    assert "patient" not in caplog.text


def test_a_process_that_ends_is_a_failure_that_says_so(tmp_path):
    with (
        pytest.raises(BatchError, match="exit code -9"),
        ProcessPool(partial(stop_at, tmp_path), 2) as crew,
    ):
        list(crew.finished(iter(range(5))))
    assert no_child_is_left()


def test_what_libraries_say_while_they_are_loaded_is_not_heard(capfd):
    do = Loud("a patient's name")
    capfd.readouterr()
    with ProcessPool(do, 1) as crew:
        assert list(crew.finished(iter([1]))) == [1]
    assert capfd.readouterr().err == ""


def test_who_leaves_early_leaves_no_process(tmp_path):
    with pytest.raises(KeyboardInterrupt), ProcessPool(partial(note, tmp_path), 2) as crew:
        next(crew.finished(iter(range(100))))
        raise KeyboardInterrupt
    assert no_child_is_left()
