"""How many threads a network gets while other threads draw and compress what it found before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIALS = 2  # the first group pays for what is set up once
_SLOW = 0.08  # seconds a frame on one thread; drawing a frame of 512 x 512 takes about as long with all else


class Pace:
    """One thread for a network that is done before its pictures are drawn, all of torch's for a larger one.

    The threads of a small network would wait for each other at every layer, and take the processors from those that
    draw: several times as slow on two processors that are busy. To be closed, which gives torch its threads back.
    """

    def __init__(self) -> None:
        self._all, self._tried, self._best = torch.get_num_threads(), 0, float("inf")
        torch.set_num_threads(1)

    @contextmanager
    def of(self, frames: int) -> Iterator[None]:
        """Around the network at work on so many frames."""
        started = time.perf_counter()
        yield
        if self._tried < _TRIALS:
            self._tried, self._best = self._tried + 1, min(self._best, (time.perf_counter() - started) / frames)
            if self._tried == _TRIALS and self._best > _SLOW:
                torch.set_num_threads(self._all)

    def close(self) -> None:
        """Give torch its threads back."""
        torch.set_num_threads(self._all)
