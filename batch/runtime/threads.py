"""Work on threads: results in order, and a task every few seconds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OrderedPrefetch(Generic[Result]):
    """Runs `work` on a pool ahead of its reader, and gives the results in the order of `add`.

    One thread adds and takes. No call begins while the waiting results weigh `room` or more, so no
    thread of the pool is blocked.

    Args:
        pool: runs the calls.
        threads: most calls of `work` at once.
        work: gets the arguments of `add`.
        weight: gives the weight of a result, 0 or more.
        room: weight of waiting results at which no further call begins. Calls that have begun can
            add to it, at most one a thread.
    """

    def __init__(
        self,
        pool: Executor,
        threads: int,
        work: Callable[..., Result],
        weight: Callable[[Result], int],
        room: int,
    ) -> None:
        self._pool, self._threads, self._room = pool, threads, room
        self._work, self._weigh = work, weight
        self._waiting: deque[Future[Result]] = deque()
        self._pending: deque[tuple[Future[Result], tuple[object, ...]]] = deque()
        self._running = self._weight = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many calls were added and not yet taken."""
        return len(self._waiting)

    @property
    def weight(self) -> int:
        """Weight of the results that wait to be taken."""
        return self._weight

    def add(self, *arguments: object) -> None:
        """Queue the call `work(*arguments)`."""
        future: Future[Result] = Future()
        self._waiting.append(future)
        with self._lock:
            self._pending.append((future, arguments))
            self._begin()

    def is_next_done(self) -> bool:
        """Whether `take` would not wait; False when nothing was added."""
        return bool(self._waiting) and self._waiting[0].done()

    def take(self) -> Result:
        """Wait for the oldest result; an error of `work` is raised here.

        This cannot wait for ever: calls begin in order, so when the oldest is awaited no result
        before it takes up room.
        """
        result = self._waiting.popleft().result()
        with self._lock:
            self._weight -= self._weigh(result)
            self._begin()
        return result

    def _begin(self) -> None:
        while self._pending and self._running < self._threads and self._weight < self._room:
            future, arguments = self._pending.popleft()
            self._running += 1
            self._pool.submit(self._run, future, arguments)

    def _run(self, future: Future[Result], arguments: tuple[object, ...]) -> None:
        try:
            result = self._work(*arguments)
        except BaseException as error:  # `take` raises it
            future.set_exception(error)
        else:
            with self._lock:
                self._weight += self._weigh(result)
            future.set_result(result)
        with self._lock:
            self._running -= 1
            self._begin()


def work_in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    goes_on: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[Item, Result]]:
    """(item, `work(item)`) in the order of the items, a few of them at a time on threads.

    What `work` raises is raised here, and nothing more is begun; so where the caller stops taking.

    Args:
        goes_on: asked before each item; once it says no, what was begun is still given.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
    try:
        for item in items:
            if not goes_on():
                break
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > 2 * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def run_every(work: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """Call `work` on a thread every so many seconds inside the block; no call outlives the block.

    Args:
        work: must not raise, since an error would end the thread without notice.
        seconds: between two calls.
        name: of the thread.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
