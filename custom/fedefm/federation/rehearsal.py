"""A rehearsal on one machine: the foundation job over mutual TLS must give the Theta that one process gives."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from fedefm.data.synth import write_consortium
from fedefm.data.synth.consortium import SiteSpec
from fedefm.data.synth.looks import CLASSES, LOOKS, look_named
from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Listener
from fedefm.federation.console import COMPLETED, Console
from fedefm.federation.place import Place, provision
from fedefm.federation.sites import Process, running
from fedefm.files import filled, write_whole
from fedefm.flare.job_files import DOWNLOADED
from fedefm.flare.job_folder import write_job
from fedefm.flare.progress import failure_in, from_line
from fedefm.foundation.methods import job_settings
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.kits.kit import CONSOLE, LOG, open_kit
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import THETA_FILE, load_weights
from fedefm.simulation.foundation import RECORD_FILE
from fedefm.trust import sign_job

JOB = "foundation"
SUMMARY_FILE = "federation.json"
WORK = "work"
JOB_SECONDS = 300.0
SMALL = {"rounds": 2, "local_steps": 4, "overseas_steps": 1, "distil_steps": 2, "compare_lone": False, "min_sites": 2}
FRAMES, SIZE = 10, 64


def rehearse(
    out: Path, *, seed: int = 0, keep: bool = False, say: Callable[[str], None] = print, on_event: Listener = print
) -> dict[str, Any]:
    """Provision, start, submit, watch, download, stop, and compare Theta with that of a run in one process.

    Args:
        out: new folder of `theta.safetensors`, `record.json` and `federation.json`.
        seed: of data and job.
        keep: leave kits, logs and data under `out/work`; they stay after a failure in any case.
        say: told each step.
        on_event: told every event of the job.

    Returns:
        The content of `federation.json`: hashes, seconds of each step, job id, lost hospitals.

    Raises:
        ConfigError: `out` is in use.
        FedefmError: a step failed, or Theta differs; the message names the log.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is not empty; name a new folder")
    work, clock = out.resolve() / WORK, Stopwatch(say)
    with clock("provision"):
        place = provision(work)
    with clock("data"):
        folders = synthetic_hospitals(work / "data", place.hospitals, seed)
    settings = small_settings(seed)
    with clock("reference"):
        expected = weights_sha256(theta_of(run_in_process(settings, folders).state.theta))
    with federation(place, folders, clock):
        lead = Console(place.kit(place.people["lead"]))
        with clock("submit"):
            job_id = lead.submit(signed_job(work / "job", settings, place))
        with clock("run"):
            status = lead.watch(job_id, JobLog(place, job_id, on_event), JOB_SECONDS)
        if status != COMPLETED:
            raise FedefmError(f"job {job_id} ended as {status}; {why(place, job_id)}")
        with clock("download"):
            record = collect(lead.download(job_id, work / "download"), out)
    summary = {
        "job": job_id,
        "hospitals": list(place.hospitals),
        "lost": record["lost"],
        "theta": load_weights(out / THETA_FILE).sha256,
        "expected": expected,
        "seconds": clock.seconds,
    }
    write_whole(out / SUMMARY_FILE, json.dumps(summary, indent=1) + "\n")
    must_match(place.kits, summary["theta"], record["theta"]["sha256"], expected)
    if not keep:
        shutil.rmtree(work)
    return summary


def must_match(kits: Path, found: str, recorded: str, expected: str) -> None:
    """Refuse a Theta that is not that of the run in one process.

    Raises:
        FedefmError: the file or its record differs.
    """
    if not found == recorded == expected:
        raise FedefmError(f"Theta differs from the one-process run ({found[:16]}, not {expected[:16]}); see {kits}")


@dataclass
class Stopwatch:
    """Seconds of each step; `with clock("name"):`.

    Attributes:
        say: told each step as it begins.
        seconds: of the steps so far.
    """

    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        self.say(step)
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(time.monotonic() - begin, 1)


@contextmanager
def federation(place: Place, folders: Mapping[str, Path], clock: Stopwatch) -> Iterator[dict[str, Process]]:
    """The same as `running`, with the time that starting and stopping take."""
    stage = running(place, folders)
    with clock("start"):
        processes = stage.__enter__()
    try:
        yield processes
    finally:
        with clock("stop"):
            stage.__exit__(None, None, None)


@dataclass
class JobLog:
    """Reads a job's events from the server's log of that job, as they come.

    Attributes:
        place: the federation.
        job_id: the job.
        on_event: told each event.
        offset: bytes read so far.
    """

    place: Place
    job_id: str
    on_event: Listener
    offset: int = 0

    def __call__(self) -> None:
        """Read what is new; FLARE takes the log away when the job has ended."""
        try:
            with job_log(self.place, self.job_id).open("rb") as log:
                log.seek(self.offset)
                new = log.read()
        except OSError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            event = from_line(line)
            if event is not None:
                self.on_event(event)


def job_log(place: Place, job_id: str) -> Path:
    """The server's log of a job that is running."""
    return place.kit(place.server) / job_id / LOG


def why(place: Place, job_id: str) -> str:
    """What the controller said, if it said something; else where to look."""
    with_reason = [job_log(place, job_id), place.kit(place.server) / CONSOLE]
    for log in (path for path in with_reason if path.is_file()):
        for line in log.read_text(errors="replace").splitlines():
            failed = failure_in(line)
            if failed is not None:
                return f"{failed}; see {log}"
    return f"see {LOG} of each kit in {place.kits}"


def synthetic_hospitals(folder: Path, names: tuple[str, ...], seed: int) -> dict[str, Path]:
    """A small folder of images for each hospital, each with a look of its own."""
    specs = {name: SiteSpec(look, look_named(look).home) for name, look in zip(names, cycle(LOOKS), strict=False)}
    written = write_consortium(folder, sites=specs, frames_per_site=FRAMES, size=SIZE, seed=seed)
    return {path.name: path for path in written}


def small_settings(seed: int = 0) -> Settings:
    """The foundation job, shortened to seconds."""
    plain = job_settings().to_dict()
    plain |= {"classes": list(CLASSES), "size": 32, "stage_timeout": 60}
    plain["schedule"] |= SMALL | {"seed": seed}
    return Settings.from_dict(plain)


def signed_job(folder: Path, settings: Settings, place: Place) -> Path:
    """The job folder that the lead submits."""
    job = folder / JOB
    write_job(job, settings)
    lead = open_kit(place.kit(place.people["lead"]))
    sign_job(job, lead.certificate, lead.key)
    return job


def theta_of(theta: Any) -> Any:
    """Theta of a run that must have one.

    Raises:
        FedefmError: it has none.
    """
    if theta is None:
        raise FedefmError("the one-process run has no Theta; its settings aggregate nothing")
    return theta


def collect(downloaded: Path, out: Path) -> dict[str, Any]:
    """Move the record and Theta out of a download.

    Raises:
        FedefmError: it holds none.
    """
    results = downloaded / DOWNLOADED
    if not (results / THETA_FILE).is_file() or not (results / RECORD_FILE).is_file():
        raise FedefmError(f"{results}: holds no Theta; the job published nothing")
    with filled(out) as part:
        shutil.copy(results / THETA_FILE, part / THETA_FILE)
        shutil.copy(results / RECORD_FILE, part / RECORD_FILE)
    return json.loads((out / RECORD_FILE).read_text())
