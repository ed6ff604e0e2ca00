"""What a foundation job costs as it grows: network x hospitals x frames, in process and in FLARE's simulator.

A row is a whole run of two rounds of one gradient step a stage, of one image each, so that what is seen is not the
training but all that is around it: seconds of each stage, bytes and the least possible, seconds until the images are
there, and the peak of memory of the server and of the hospital that took most. In process there is one process for all.
Memory is what the system cannot take back (anonymous pages); what is mapped from files stands beside it. `models` is
the peak less that of the smallest network under the same hospitals, in models of the row's network. The bounds: 4 for
the server, 6 for a hospital, however many hospitals there are.

One JSON file a row under `benchmarks/scale_results/`; what is there is not run again.

Examples:
  python -m benchmarks.scale
  python -m benchmarks.scale --limit 1
  python -m benchmarks.scale --only vit --limit 2
  python -m benchmarks.scale --list
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import psutil  # type: ignore[import-untyped]
from benchmarks.fixed.run import processor
from benchmarks.fixed.tables import markdown

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.errors import FedefmError
from fedefm.files import write_json
from fedefm.flare.simulated_sites import site_of
from fedefm.foundation.initial import start_weights
from fedefm.foundation.methods import job_settings
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.maths.size import nbytes
from fedefm.models.spec import ModelSpec
from fedefm.simulation.foundation import simulate
from fedefm.training.optimisation import Optimisation

FOLDER = Path(__file__).parent / "scale_results"
LOOK_SECONDS = 0.1
ONE, FEDERATED = "one process", "simulator"
SERVER, HOSPITAL = "server", "hospital"

NETWORKS: Mapping[str, tuple[ModelSpec, int]] = {
    "tiny": (job_settings().model, 64),
    "resnet34": (ModelSpec("Unet", "resnet34"), 64),
    "vit_base": (ModelSpec("DPT", "tu-vit_base_patch16_224"), 224),
}
"""By its name, a network and the side of its images in pixels: 1.5, 98 and 486 MB."""


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        network: of `NETWORKS`.
        hospitals: that all visit each other.
        frames: of each.
        place: in one process, or in the simulator.
        method: of the job.
    """

    network: str
    hospitals: int
    frames: int
    place: str
    method: str = "fedefm"

    @property
    def key(self) -> str:
        """Names the row's file."""
        return f"{self.network}-{self.hospitals}-{self.frames}-{self.place.split()[0]}-{self.method}"


ROWS = (
    *(Row(name, count, 8, FEDERATED) for count in (4, 8) for name in ("tiny", "resnet34")),
    *(Row(name, count, 8, ONE) for count in (4, 8) for name in ("tiny", "resnet34")),
    *(Row("tiny", 4, 200, place) for place in (FEDERATED, ONE)),
    *(Row(name, 4, 40, place) for place in (FEDERATED, ONE) for name in ("tiny", "vit_base")),
)


@dataclass
class Peak:
    """Most memory of some processes, in 10^6 bytes.

    Attributes:
        own: that the system cannot take back: anonymous pages.
        mapped: pages of files, which it can, at the moment of the most in all.
        whole: both.
    """

    own: float = 0.0
    mapped: float = 0.0
    whole: float = 0.0

    def see(self, own: float, mapped: float) -> None:
        """Take one look."""
        self.own = max(self.own, own)
        if own + mapped > self.whole:
            self.mapped, self.whole = mapped, own + mapped


class Watch:
    """Looks at all processes below this one while a run is at work.

    Attributes:
        peaks: by role.
    """

    def __init__(self) -> None:
        self.peaks: defaultdict[str, Peak] = defaultdict(Peak)

    @contextmanager
    def looking(self, role_of: Callable[[psutil.Process], str | None]) -> Iterator[Watch]:
        """Look until the block ends; `role_of` says what a process is."""
        over = Flag()
        thread = Thread(target=self._until, args=(over, role_of), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _until(self, over: Flag, role_of: Callable[[psutil.Process], str | None]) -> None:
        roles: dict[int, str | None] = {}
        while not over.wait(LOOK_SECONDS):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError, KeyError):
                    if roles.get(process.pid) is None:
                        roles[process.pid] = role_of(process)
                    if (role := roles[process.pid]) is not None:
                        self.peaks[role].see(*memory_of(process.pid))


def memory_of(pid: int) -> tuple[float, float]:
    """Anonymous memory of a process, and its pages of files, in 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = {
        name: float(rest.split()[0]) for name, _, rest in (one.partition(":") for one in lines) if "kB" in rest
    }
    return 1.024e-3 * kilobytes["RssAnon"], 1.024e-3 * kilobytes["RssFile"]


def role_in_simulator(process: psutil.Process) -> str | None:
    """A hospital's process, or the one above it: the server's."""
    if site_of(process):
        return HOSPITAL
    return SERVER if any(site_of(child) for child in process.children()) else None


def settings_of(row: Row) -> Settings:
    """The job of a row."""
    spec, size = NETWORKS[row.network]
    job = job_settings(method=row.method)
    steps = dict.fromkeys(("local_steps", "overseas_steps", "distil_steps"), 1)
    plan = replace(job.schedule, rounds=2, compare_lone=False, **steps)
    return replace(job, model=spec, size=size, schedule=plan, optimisation=Optimisation(batch_size=1))


def run_row(row: Row) -> dict[str, Any]:
    """A row's figures, as JSON-able values.

    Raises:
        FedefmError: the run failed.
    """
    settings, spec = settings_of(row), NETWORKS[row.network]
    model = nbytes(start_weights(settings, None))
    with tempfile.TemporaryDirectory() as place:
        sites = default_sites(row.hospitals)
        paths = write_consortium(
            Path(place) / "data", sites=sites, frames_per_site=row.frames, size=spec[1], unseen=0.0
        )
        folders, watch, begin = {path.name: path for path in paths}, Watch(), time.perf_counter()
        if row.place == FEDERATED:
            with watch.looking(role_in_simulator):
                record = simulate(settings, folders, Path(place) / "run")
        else:
            with watch.looking(lambda process: ONE), get_context("spawn").Pool(1) as pool:
                record = pool.apply(in_one_process, (settings, folders))
    return {
        "row": asdict(row),
        "model_mb": model / 1e6,
        "seconds": {"wall": time.perf_counter() - begin, **record["seconds"]},
        "bytes": record["bytes"]["total"],
        "least_bytes": record["least_bytes"]["total"],
        "memory_mb": {role: vars(peak) for role, peak in sorted(watch.peaks.items())},
        "lost": len(record["lost"]),
        "theta_sha256": record["theta"]["sha256"],
        "machine": {"processor": processor(), "cores": psutil.cpu_count(), "system": platform.system()},
    }


def in_one_process(settings: Settings, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The same run without FLARE."""
    run = run_in_process(settings, folders)
    theta = {"sha256": weights_sha256(run.state.theta or {})}
    return {**{key: run.figures[key] for key in ("seconds", "bytes", "least_bytes", "lost")}, "theta": theta}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """All rows as Markdown."""
    base = {base_key(one["row"]): one["memory_mb"] for one in found if one["row"]["network"] == "tiny"}
    head = ["network", "hospitals", "frames", "where", "s in all", "images", "local", "overseas", "distil", "assess"]
    head += [
        "average",
        "evaluate",
        "MB moved",
        "times the least",
        "memory, MB",
        "models",
        "mapped, MB",
        "lost",
        "Theta",
    ]
    return markdown(head, [line(one, base.get(base_key(one["row"]))) for one in found])


def base_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row shares with that of the smallest network which it is measured against."""
    return row["hospitals"], row["frames"], row["place"], row["method"]


def line(one: Mapping[str, Any], base: Mapping[str, Any] | None) -> list[str]:
    """A row of the table."""
    row, seconds, memory = one["row"], one["seconds"], one["memory_mb"]
    stages = ("prepare", "local", "overseas", "distil", "assess", "aggregate", "evaluate")
    own, mapped = ({role: peak[key] for role, peak in memory.items()} for key in ("own", "mapped"))
    models = {r: (own[r] - base[r]["own"]) / one["model_mb"] for r in own} if base and row["network"] != "tiny" else {}
    return [
        *(str(row[key]) for key in ("network", "hospitals", "frames", "place")),
        f"{seconds['wall']:.0f}",
        *(f"{seconds.get(stage, 0.0):.1f}" for stage in stages),
        f"{one['bytes'] / 1e6:.0f}",
        f"{one['bytes'] / one['least_bytes']:.2f}",
        *(
            ", ".join(f"{role} {value:.{digits}f}" for role, value in part.items())
            for part, digits in ((own, 0), (models, 1), (mapped, 0))
        ),
        str(one["lost"]),
        one["theta_sha256"][:8],
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the rows (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds this")
    parser.add_argument("--limit", type=int, help="at most so many runs")
    parser.add_argument("--list", action="store_true", help="only say what is left")
    parser.add_argument("--json", action="store_true", help="one JSON list of all rows")
    options = parser.parse_args(words)
    left = [row for row in ROWS if options.only in row.key and not (options.folder / f"{row.key}.json").is_file()]
    if options.list:
        print("\n".join(row.key for row in left))
        return
    for row in left[: options.limit]:
        try:
            found = run_row(row)
        except FedefmError as error:
            print(f"{row.key}: {error}", flush=True)
            continue
        write_json(options.folder / f"{row.key}.json", found)
        print(f"{row.key}: {found['seconds']['wall']:.0f} s", flush=True)
    done = [
        json.loads((options.folder / f"{row.key}.json").read_text())
        for row in ROWS
        if (options.folder / f"{row.key}.json").is_file()
    ]
    print(json.dumps(done, indent=2, sort_keys=True) if options.json else table(done))


if __name__ == "__main__":
    main()
