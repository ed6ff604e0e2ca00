"""What half precision on the wire costs in Dice and saves in bytes: the same run with both, over several seeds.

Four synthetic hospitals in one process, which gives the Theta that a federation gives. The figure is the mean pooled
Dice of Theta over all hospitals and classes; `unseen` is that of the classes that a hospital does not label.

Examples:
  python benchmarks/bench_wire.py
  python benchmarks/bench_wire.py --seeds 5 --method at_home --rounds 4
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.foundation.methods import job_settings
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.report.scores import mean_of, theta_rows
from fedefm.training.wire import WIRES

SIZE = 64


@dataclass(frozen=True)
class Cost:
    """What one run reached and moved."""

    dice: float
    unseen: float
    megabytes: float
    least: float


def measure(settings: Settings, folders: Mapping[str, Path]) -> Cost:
    """One run."""
    figures = run_in_process(settings, folders).figures
    unseen = mean_of(theta_rows({"theta": {}, **figures}), own=False)
    sizes = figures["bytes"]["total"] / 1e6, figures["least_bytes"]["total"] / 1e6
    return Cost(figures["dice"]["mean"] or 0.0, unseen or 0.0, *sizes)


def line(name: str, costs: Sequence[Cost]) -> str:
    """A row of the table: means over the seeds, and the spread of Dice."""
    dice = [cost.dice for cost in costs]
    spread = statistics.stdev(dice) if len(dice) > 1 else 0.0
    unseen, size, least = (
        statistics.fmean(getattr(cost, field) for cost in costs) for field in ("unseen", "megabytes", "least")
    )
    mean = statistics.fmean(dice)
    return f"| `{name}` | {mean:.3f} | {spread:.3f} | {unseen:.3f} | {size:.1f} | {size / least:.2f} |"


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="of images and training (default: %(default)s)")
    parser.add_argument("--method", default="fedefm", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help="default: as the job says")
    parser.add_argument("--frames", type=int, default=48, help="of each hospital (default: %(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="gradient steps of each task; as the job says")
    given = parser.parse_args(words)
    costs: dict[str, list[Cost]] = {wire: [] for wire in WIRES}
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            sites = default_sites(4)
            paths = write_consortium(
                Path(folder), sites=sites, frames_per_site=given.frames, size=SIZE, seed=seed, unseen=0.5
            )
            for wire, found in costs.items():
                found.append(measure(planned(given, seed, wire), {path.name: path for path in paths}))
    print("| wire | Dice | its spread over seeds | unseen | MB | times the least |")
    print("| --- | --- | --- | --- | --- | --- |")
    for wire, found in costs.items():
        print(line(wire, found))


def planned(given: argparse.Namespace, seed: int, wire: str) -> Settings:
    """The job of one run."""
    job = job_settings(method=given.method)
    plan = replace(job.schedule, seed=seed, compare_lone=False, rounds=given.rounds or job.schedule.rounds)
    if given.steps:
        plan = replace(plan, **dict.fromkeys(("local_steps", "overseas_steps", "distil_steps"), given.steps))
    return replace(job, size=SIZE, wire=wire, schedule=plan)


if __name__ == "__main__":
    main()
