"""Many cases, one after another or side by side, each in one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

import torch
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import Case, Definition
from benchmarks.fixed.run import run_case
from benchmarks.fixed.store import result_path

from fedefm.errors import ConfigError
from fedefm.files import write_json

OnResult = Callable[[Case, dict[str, Any], float], None]


def sweep(
    definition: Definition,
    cases: Sequence[Case],
    images: Images,
    on_result: OnResult,
    workers: int = 1,
    device: str = "",
) -> None:
    """Run cases and write each result as it comes; a figure does not depend on what runs beside it.

    Args:
        definition: of the benchmark.
        cases: what to run, in this order.
        images: where they lie.
        on_result: told each case, its result and its seconds.
        workers: processes at work.
        device: torch device; by default a GPU where there is one.

    Raises:
        ConfigError: no worker.
        FedefmError: a run failed; results that were there stay.
    """
    if workers < 1:
        raise ConfigError("benchmark: give at least one worker")
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    images.draw(definition, cases)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = {pool.submit(timed, definition, case, images, chosen): case for case in cases}
        try:
            for job in as_completed(jobs):
                result, seconds = job.result()
                write_json(result_path(definition, jobs[job]), result)
                on_result(jobs[job], result, seconds)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def timed(definition: Definition, case: Case, images: Images, device: str) -> tuple[dict[str, Any], float]:
    """A case's result and its seconds, in a process of one thread."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    return run_case(definition, case, images, device), time.perf_counter() - begin
