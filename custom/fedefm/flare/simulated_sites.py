"""Hospitals of FLARE's simulator whose process is gone.

On a federation FLARE tells the server's job of a dead process. Its simulator does not: it starts one process for each
hospital below the server's own, writes a line when one dies, and the job waits for it. So the job looks for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil  # type: ignore[import-untyped]

WORKER = "nvflare.private.fed.app.simulator.simulator_worker"
LOOK_SECONDS = 1.0


class SimulatedSites:
    """Knows which hospitals have lost their process; on a federation it never finds one and knows of no loss.

    Only where all hospitals were seen at work at once does a missing process mean anything: with fewer threads than
    hospitals FLARE ends each process after a task by design.

    Args:
        sites: names of all hospitals of the job.
        clock: seconds, rising.
    """

    def __init__(self, sites: Iterable[str], clock: Callable[[], float] = time.monotonic):
        self._sites, self._clock = frozenset(sites), clock
        self._seen: dict[str, psutil.Process] = {}
        self._complete, self._next = False, 0.0

    def __call__(self) -> frozenset[str]:
        """Names of hospitals whose process has ended."""
        if not self._complete:
            self._look()
        if not self._complete:
            return frozenset()
        return frozenset(site for site, process in self._seen.items() if not lives(process))

    def _look(self) -> None:
        """Find the processes; seldom, as it reads the table of all processes."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + LOOK_SECONDS
        self._seen = {site: process for process in psutil.Process().children() if (site := site_of(process))}
        self._complete = bool(self._sites) and set(self._seen) >= self._sites


def site_of(process: psutil.Process) -> str | None:
    """The hospital that a process of the simulator plays; None for any other process."""
    with suppress(psutil.Error, ValueError, IndexError):
        words = process.cmdline()
        if WORKER in words:
            return str(words[words.index("--client") + 1])
    return None


def lives(process: psutil.Process) -> bool:
    """Whether a process still runs; one that has ended and was not asked for its exit code does not."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
