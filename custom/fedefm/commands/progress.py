"""Progress on the terminal: one line for each piece of work that ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from fedefm.errors import visible
from fedefm.exchange.events import (
    CountsCapped,
    Event,
    RunResumed,
    SilosRated,
    StageEnded,
    StageStarted,
    StandingChanged,
    TaskDone,
    TaskLost,
    rated,
    resumed,
)
from fedefm.exchange.messages import Stage


class Terminal:
    """A listener that prints round, stage, site, loss and pooled Dice.

    Args:
        label: stands before every line, such as the method in a comparison.
        quiet: print nothing.
    """

    def __init__(self, label: str = "", quiet: bool = False):
        self._label, self._quiet = f"{label:8}" if label else "", quiet
        self._begin, self._rounds = time.monotonic(), 0

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, StageStarted):
            self._rounds = event.rounds
        elif isinstance(event, TaskDone):
            task = event.task
            who = f"{task.visitor} at {task.site}" if task.visitor != task.site else task.site
            figures = [
                f"{name} {event.report[key]:.3f}"
                for key, name in (("loss", "loss"), ("val_dice", "pooled Dice"))
                if isinstance(event.report.get(key), (int, float))
            ]
            self._print(task.round, task.stage, f"{who:28}{'  '.join(figures)}")
        elif isinstance(event, TaskLost):
            lost = event.lost
            self._print(lost.round, lost.stage, f"{lost.site}: LOST, {lost.reason}")
        elif isinstance(event, StageEnded):
            self._print(event.round, event.stage, f"{'done':28}{event.seconds:.1f} s, {event.bytes / 1e6:.1f} MB")
        elif isinstance(event, CountsCapped):
            self._print(event.round, Stage.AGGREGATE, f"{'capped':28}{', '.join(event.sites)}")
        elif isinstance(event, StandingChanged):
            self._print(event.round, "", f"{event.site}: {event.standing.upper()}, {event.reason}")
        elif isinstance(event, SilosRated) and min(event.reputation.values()) < 1:
            self._print(event.round, Stage.ASSESS, f"{'reputation':28}{rated(event)}")
        elif isinstance(event, RunResumed):
            self._print(event.round, "resume", resumed(event))

    def _print(self, round_: int, stage: str, text: str) -> None:
        if self._quiet:
            return
        elapsed = int(time.monotonic() - self._begin)
        place = f"round {min(round_ + 1, self._rounds)}/{self._rounds}" if self._rounds else ""
        print(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {self._label}{place:15}{stage:10}{visible(text)}", flush=True)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def counter(what: str) -> Callable[[int, int], None]:
    """A progress callback that rewrites one line; silent where the output is no terminal."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
