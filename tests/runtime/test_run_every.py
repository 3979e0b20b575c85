"""What is repeated beside other work is repeated, and has ended with it, however that ended."""

from __future__ import annotations

import threading

import pytest

from batch.runtime.threads import run_every


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt])
def test_it_is_done_again_and_again_until_the_end(failure):
    enough, calls = threading.Event(), []

    def work() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            enough.set()

    def run() -> None:
        with run_every(work, 0.001, "beside"):
            assert enough.wait(60)
            if failure:
                raise failure

    if failure:
        with pytest.raises(failure):
            run()
    else:
        run()
    assert set(calls) == {"beside"}
    assert "beside" not in {thread.name for thread in threading.enumerate()}


def test_what_is_over_at_once_does_nothing():
    calls = []
    with run_every(lambda: calls.append(1), 3600, "beside"):
        pass
    assert not calls
