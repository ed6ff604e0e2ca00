"""Work on items that come one after another, by several threads, with the results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING = 2  # results for each thread that may wait to be taken; more would only fill the memory


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with what `work` makes of it, in order; the next ones are at work meanwhile.

    It serves where most of the work is compression or numpy on large arrays, which other threads may run beside.

    Args:
        work: called in any thread and in any order. What it raises is raised here, at its item's turn.
        items: taken as they are wanted, in the caller's thread; no more than two a thread are held.
        threads: 1 does all in the caller's thread.
    """
    if threads <= 1:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > _WAITING * threads:
                    yield _taken(waiting)
            while waiting:
                yield _taken(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _taken(waiting: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Result]:
    item, future = waiting.popleft()
    return item, future.result()
