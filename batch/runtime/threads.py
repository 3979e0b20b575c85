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
    """Results of `work` in the order of `add`; one thread adds and takes, the pool works.

    No thread of the pool ever waits for room: what would be too much is not begun.

    Args:
        pool: does the work. threads: calls of `work` at once.
        weight: of a result, 0 or more. room: nothing is begun while the results that wait to be
            taken weigh so much; those already begun come on top, at most one a thread.
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
        """So many were added and not taken."""
        return len(self._waiting)

    @property
    def weight(self) -> int:
        """What the results that wait to be taken weigh."""
        return self._weight

    def add(self, *arguments: object) -> None:
        """Have `work(*arguments)` done."""
        future: Future[Result] = Future()
        self._waiting.append(future)
        with self._lock:
            self._pending.append((future, arguments))
            self._begin()

    def is_next_done(self) -> bool:
        """Whether `take` would not wait; False when nothing was added."""
        return bool(self._waiting) and self._waiting[0].done()

    def take(self) -> Result:
        """The oldest result; what `work` raised is raised here.

        The oldest is begun whenever it is asked for: begun in order, it has nothing before it that
        could take up the room.
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
        except BaseException as error:  # for whoever takes it
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
    """While this is open, `work` every so many seconds; at its end no call is under way.

    Args:
        work: raises nothing; what it raised would end the repeating unheard.
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
