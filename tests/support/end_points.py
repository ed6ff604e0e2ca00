"""FLARE's end points in the tests' own process: each leaves nothing behind, whatever test comes next."""

from collections.abc import Iterator
from contextlib import contextmanager

from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.stats_pool import StatsPoolManager


@contextmanager
def forgotten_after(name: str) -> Iterator[None]:
    """Take an end point's name and its pools of figures out of FLARE's lists: it allows each once in a process."""
    before = set(StatsPoolManager.pools)
    try:
        yield
    finally:
        CoreCell.ALL_CELLS.pop(name, None)
        for pool in set(StatsPoolManager.pools) - before:
            StatsPoolManager.pools.pop(pool)
