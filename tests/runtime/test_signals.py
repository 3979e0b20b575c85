"""Real signals to a real process, in each mode: what raises, what only asks, and what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from batch.runtime import signals as interrupt
from tests.support.archives import REPOSITORY

NOTICE = "\nstopping at the end of this segment; Ctrl-C stops at once\n"
PROGRAM = """
import os, signal, sys
from batch.runtime import signals as interrupt

def send(name):
    os.kill(os.getpid(), getattr(signal, name))
    print(name, "went on", flush=True)

try:
    with interrupt.stop_on_signals():
        {body}
        print("asked" if interrupt.is_requested() else "not asked", flush=True)
        interrupt.check()
    print("end", flush=True)
except KeyboardInterrupt:
    print("stopped, asked" if interrupt.is_requested() else "stopped", flush=True)
"""


def child(body, stderr=subprocess.PIPE):
    """What a process prints that does this, and what it says on standard error."""
    lines = body.strip("\n").split("\n")
    program = PROGRAM.format(body=("\n" + 8 * " ").join(lines))
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=stderr,
        text=True, timeout=60,
    )  # fmt: skip
    return found.stdout.splitlines(), found.stderr


def both(test):
    return pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM"])(test)


def test_without_a_signal_nothing_happens():
    assert child("pass") == (["not asked", "end"], "")


@both
def test_a_signal_stops_at_once(kind):
    assert child(f"send('{kind}')") == (["stopped, asked"], "")


@both
def test_an_exception_that_a_library_swallowed_is_raised_again_at_a_safe_place(kind):
    body = f"""
try:
    send('{kind}')
except KeyboardInterrupt:
    pass  # as a callback of a native library does
"""
    assert child(body) == (["asked", "stopped, asked"], "")


@both
def test_in_orderly_work_the_first_signal_only_asks(kind):
    body = f"""
with interrupt.orderly():
    print("asked" if interrupt.is_requested() else "not asked")
    send('{kind}')
    print("asked" if interrupt.is_requested() else "not asked")
"""
    said = ["not asked", f"{kind} went on", "asked", "asked", "stopped, asked"]
    assert child(body) == (said, NOTICE)


@pytest.mark.parametrize(
    ("signals", "went_on", "stops"),
    [
        (["SIGINT", "SIGINT"], 1, True),
        (["SIGTERM", "SIGINT"], 1, True),
        (["SIGTERM", "SIGTERM"], 2, False),
        (["SIGINT", "SIGTERM"], 2, False),
        (["SIGTERM", "SIGTERM", "SIGINT"], 2, True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_the_second_ctrl_c_stops_orderly_work_and_no_second_sigterm(signals, went_on, stops):
    """A scheduler may send SIGTERM twice; a person at the terminal means it."""
    sending = "\n".join(f"    send('{kind}')" for kind in signals)
    lines, said = child(f"with interrupt.orderly():\n{sending}\n    print('worked')")
    assert sum(line.endswith("went on") for line in lines) == went_on
    assert ("worked" in lines) != stops
    assert said == NOTICE  # once


@pytest.mark.parametrize("signals", [["SIGINT"] * 3, ["SIGTERM"] * 3, ["SIGTERM", "SIGINT"]])
def test_nothing_stops_what_must_not_be_told_half(signals):
    sending = "\n".join(f"    send('{kind}')" for kind in signals)
    lines, _ = child(f"with interrupt.finishing():\n{sending}\n    print('published')")
    assert lines == [*(f"{kind} went on" for kind in signals), "published", "asked",
                     "stopped, asked"]  # fmt: skip


def test_modes_nest_as_a_run_nests_them():
    """Orderly, within it finishing, and orderly again: asked before, the next Ctrl-C raises."""
    body = """
with interrupt.orderly():
    with interrupt.finishing():
        send('SIGINT')
        send('SIGINT')
    print('published')
    send('SIGINT')
"""
    lines, _ = child(body)
    assert lines == ["SIGINT went on", "SIGINT went on", "published", "stopped, asked"]


def test_after_orderly_work_a_signal_stops_at_once_again():
    lines, said = child("with interrupt.orderly():\n    pass\nsend('SIGTERM')")
    assert (lines, said) == (["stopped, asked"], "")


def test_a_mode_ends_with_the_exception_that_ends_it():
    body = """
try:
    with interrupt.finishing():
        raise RuntimeError
except RuntimeError:
    pass
send('SIGINT')
"""
    assert child(body)[0] == ["stopped, asked"]


def test_the_handlers_of_before_are_back_afterwards():
    before = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]
    with interrupt.stop_on_signals():
        during = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]
    after = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]
    assert after == before
    assert not set(during) & set(before)


def test_a_signal_of_an_earlier_run_is_forgotten():
    with pytest.raises(KeyboardInterrupt, match="^$"), interrupt.stop_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert interrupt.is_requested()
    with interrupt.stop_on_signals():
        interrupt.check()
        assert not interrupt.is_requested()


def test_in_a_thread_signals_are_somebody_elses():
    found = []

    def work():
        with interrupt.stop_on_signals(), interrupt.orderly():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


@both
def test_a_signal_from_outside_wakes_a_process_that_sleeps(kind):
    program = PROGRAM.format(body="print('ready', flush=True); import time; time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, kind))
    assert process.communicate(timeout=30)[0] == "stopped, asked\n"
    assert process.returncode == 0


# Standard error may be gone: a
# closed terminal, `2>&1 | tee` that the same Ctrl-C has ended, a daemon without descriptors.
@both
@pytest.mark.parametrize("mode", ["orderly", "finishing"])
@pytest.mark.parametrize("lost", ["a pipe without reader", "closed"])
def test_nobody_has_to_hear_the_notice(kind, mode, lost):
    loses = "os.close(2)" if lost == "closed" else "r, w = os.pipe(); os.dup2(w, 2); os.close(r)"
    body = f"""
{loses}
try:
    with interrupt.{mode}():
        send('{kind}')
        print('worked')
except OSError as error:
    print('raised', type(error).__name__)
"""
    assert child(body)[0] == [f"{kind} went on", "worked", "asked", "stopped, asked"]
