"""FedEFM beside its baselines at equal gradient steps, on the same data, network, seed and measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Event
from fedefm.foundation.record import save_run
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings


def compare(
    plans: Mapping[str, Settings],
    folders: Mapping[str, Path],
    out: Path,
    workers: int = 2,
    device: str = "cpu",
    on_event: Callable[[str, Event], None] = lambda method, event: None,
) -> dict[str, Any]:
    """Run every method and put the results side by side.

    Each run has one thread, so a run's figures do not depend on how many run beside it.

    Args:
        plans: settings by the method's name (`foundation.methods`); no lone models are trained beside them. The first
            one's record leads the report.
        folders: every hospital's images.
        out: weights of each method go into a folder of its name.
        workers: processes at work.
        device: torch device of all hospitals.
        on_event: told the method and each event.

    Returns:
        `report.json` of the first method, with `dice.by_method`, `iou.by_method` and `methods`.

    Raises:
        ConfigError: no method, or no worker.
        FedefmError: a run failed.
    """
    if not plans or workers < 1:
        raise ConfigError("compare: name at least one method, and at least one worker")
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(workers, context) as pool:
        queue = manager.Queue()
        jobs = {m: pool.submit(_run, m, plan, dict(folders), out / m, device, queue) for m, plan in plans.items()}
        while not all(job.done() for job in jobs.values()) or not queue.empty():
            with suppress(Empty):  # nothing happened yet
                on_event(*queue.get(timeout=0.5))
        records = {method: job.result() for method, job in jobs.items()}
    return side_by_side(records)


def side_by_side(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join the records of several methods; the first leads."""
    report = dict(next(iter(records.values())))
    for metric in ("dice", "iou"):
        report[metric] = {**report[metric], "by_method": {m: record[metric]["mean"] for m, record in records.items()}}
    return {**report, "methods": {method: dict(record) for method, record in records.items()}}


def _run(
    method: str, settings: Settings, folders: Mapping[str, Path], out: Path, device: str, queue: Any
) -> dict[str, Any]:
    settings = replace(settings, schedule=replace(settings.schedule, compare_lone=False))
    try:
        run = run_in_process(settings, folders, [lambda event: queue.put((method, event))], device=device)
    except FedefmError as error:
        raise type(error)(f"{method}: {error}") from error
    record = save_run(settings, run.state, run.figures, out)
    for entry in (record["theta"], *record["models"].values()):
        if entry is not None:
            entry["path"] = f"{out.name}/{entry['path']}"
    return record
