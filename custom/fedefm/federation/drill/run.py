"""A drill: a real federation on this machine, one job with faults, the next without, and how each promise fared."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Listener
from fedefm.federation.console import COMPLETED, Console
from fedefm.federation.drill.evidence import Evidence, Outcome
from fedefm.federation.drill.faults import Fault, Kind, check_together, rounds_of
from fedefm.federation.drill.hands import Hands, hands_on, lines
from fedefm.federation.drill.promises import Verdict, judge, promise_of
from fedefm.federation.drill.striker import ServerKilled, Striker
from fedefm.federation.link import carrying
from fedefm.federation.place import Place, hospitals_in, people_in, provision
from fedefm.federation.rehearsal import (
    WORK,
    JobLog,
    Stopwatch,
    collect,
    federation,
    signed_job,
    small_settings,
    synthetic_hospitals,
    theta_of,
    why,
)
from fedefm.files import check_free
from fedefm.foundation.record import versions
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import THETA_FILE, load_weights

DEADLINE_SECONDS, PATIENCE_SECONDS = 900.0, 60
BACK_SECONDS = 240.0  # FLARE's hospitals find a server again within 45 s of its start; machines may be busy
PAUSE_SECONDS = 2.0
NEEDED = {"lead", "project_admin"}


@dataclass(frozen=True)
class Scene:
    """Where a drill plays, and with what.

    Attributes:
        place: the federation.
        folders: data of each hospital.
        work: where jobs and downloads lie.
        out: gets Theta and record of the job with the faults.
        deadline: seconds of each job.
        clock: times the steps.
        on_event: told every event of both jobs.
    """

    place: Place
    folders: Mapping[str, Path]
    work: Path
    out: Path
    deadline: float
    clock: Stopwatch
    on_event: Listener

    @property
    def lead(self) -> Console:
        """The lead's console."""
        return Console(self.place.kit(self.place.people["lead"]))


def drill(
    out: Path,
    faults: Sequence[Fault],
    *,
    project: Path | None = None,
    seed: int = 0,
    keep: bool = False,
    deadline: float = DEADLINE_SECONDS,
    patience: int = PATIENCE_SECONDS,
    say: Callable[[str], None] = print,
    on_event: Listener = print,
) -> dict[str, Any]:
    """Play a job with faults over mutual TLS, and hold what happened against what is promised.

    Args:
        out: new folder; gets Theta and record of the job where it has them.
        faults: of `read_fault`.
        project: the consortium's own project file; by default that of three hospitals.
        seed: of data and jobs.
        keep: leave kits, logs and data under `out/work`; they stay where a promise was broken in any case.
        deadline: seconds of each job.
        patience: seconds after which silent work is given up.
        say: told each step.
        on_event: told every event.

    Returns:
        A summary as JSON-able values: `kept`, and for each fault what was done, promised and seen.

    Raises:
        ConfigError: `out` is in use, or the faults or the project do not fit.
        FedefmError: the federation did not start; the message names the log.
    """
    check_free(out)
    check_together(faults, hospitals_in(project))
    if missing := sorted(NEEDED - people_in(project).keys()):
        raise ConfigError(f"{project}: has no person with role {' and '.join(missing)}; a drill needs one of each")
    began, work, clock = datetime.now(UTC), out.resolve() / WORK, Stopwatch(say)
    rates = {fault.site: fault.rate for fault in faults if fault.rate is not None}
    behind = rates.keys() | {fault.site for fault in faults if fault.kind is Kind.CUT}
    with clock("provision"):
        place = provision(work, project, behind)
    with clock("data"):
        folders = synthetic_hospitals(work / "data", place.hospitals, seed)
    scene = Scene(place, folders, work, out, deadline, clock, on_event)
    with ExitStack() as stack:
        links = lines(place, rates)
        for link in links.values():
            stack.enter_context(carrying(link))
        hands = stack.enter_context(hands_on(place, stack.enter_context(federation(place, folders, clock)), links))
        seen = _play(scene, hands, tuple(faults), drill_settings(seed, rounds_of(faults), patience))
    verdicts = judge(seen)
    kept = all(verdict.kept for verdict in verdicts)
    if kept and not keep:
        shutil.rmtree(work)
    return _summary(seen, verdicts, place, clock, began, seed)


def drill_settings(seed: int, rounds: int, patience: int) -> Settings:
    """The job of a drill: shortened, and it goes on with whoever is left."""
    short = small_settings(seed)
    return replace(short, stage_timeout=patience, schedule=replace(short.schedule, rounds=rounds, min_sites=1))


def _play(scene: Scene, hands: Hands, faults: tuple[Fault, ...], settings: Settings) -> Evidence:
    """Both jobs; what goes wrong after the start is evidence, not an error."""
    with scene.clock("reference"):
        job = Outcome(scene.place.hospitals, expected=_of_one_process(settings, scene.folders))
    striker = Striker(faults, hands, scene.on_event)
    abandoned, trouble = "", ""
    try:
        with scene.clock("job"):
            job, abandoned = _faulty_job(scene, striker, settings, job)
    except FedefmError as error:
        trouble = str(error)
    seconds, carried = striker.seconds, {site: link.carried for site, link in hands.links.items()}
    broken = {site: link.broken for site, link in hands.links.items()}
    after = None
    if not trouble and any(promise_of(fault, float(settings.stage_timeout)).next_job for fault in faults):
        try:
            with scene.clock("next job"):
                after = _next_job(scene, hands, settings)
        except FedefmError as error:
            trouble = str(error)
    return Evidence(
        faults,
        rounds=settings.schedule.rounds,
        patience=float(settings.stage_timeout),
        deadline=scene.deadline,
        seconds=seconds,
        job=job,
        struck=striker.struck,
        told=striker.told,
        abandoned=abandoned,
        after=after,
        carried=carried,
        broken=broken,
        trouble=trouble or hands.trouble,
    )


def _faulty_job(scene: Scene, striker: Striker, settings: Settings, job: Outcome) -> tuple[Outcome, str]:
    """The job that the faults fall on; submitted again where the server was killed. Its outcome, and the old status."""
    abandoned, lead = "", scene.lead
    for attempt in (1, 2):
        job_id = lead.submit(signed_job(scene.work / f"job-{attempt}", settings, scene.place))
        log = JobLog(scene.place, job_id, striker)

        def tick(log: JobLog = log) -> None:
            log()
            striker.check_server()

        try:
            status = lead.watch(job_id, tick, max(1.0, scene.deadline - striker.seconds))
        except ServerKilled:
            _all_back(scene, striker.hands)
            abandoned = lead.status_of(job_id)
            lead.call("job", "delete", job_id, "--force")
            continue
        if status != COMPLETED:
            raise FedefmError(f"job {job_id} ended as {status}; {why(scene.place, job_id)}")
        record = collect(lead.download(job_id, scene.work / "download"), scene.out)
        return replace(job, status=status, record=record, theta=load_weights(scene.out / THETA_FILE).sha256), abandoned
    raise FedefmError("the server was killed twice")


def _next_job(scene: Scene, hands: Hands, settings: Settings) -> Outcome:
    """One round more, with everybody back who may be."""
    _all_back(scene, hands)
    folders = {site: folder for site, folder in scene.folders.items() if site in hands.wanted}
    plan = replace(settings.schedule, rounds=1, seed=settings.schedule.seed + 1)
    settings, lead = replace(settings, schedule=plan), scene.lead
    job_id = lead.submit(signed_job(scene.work / "job-next", settings, scene.place))
    status = lead.watch(job_id, JobLog(scene.place, job_id, scene.on_event), scene.deadline)
    if status != COMPLETED:
        raise FedefmError(f"the next job {job_id} ended as {status}; {why(scene.place, job_id)}")
    out = scene.work / "next"
    record = collect(lead.download(job_id, scene.work / "download"), out)
    theta = load_weights(out / THETA_FILE).sha256
    return Outcome(tuple(sorted(folders)), status, record, theta, _of_one_process(settings, folders))


def _all_back(scene: Scene, hands: Hands) -> None:
    """Start the dead, undo the rest, and wait until the server has everybody who may be there.

    Raises:
        FedefmError: somebody does not come back.
    """
    hands.thaw_all()
    hands.start_dead()
    deadline = max(time.monotonic(), hands.over_at) + BACK_SECONDS
    while (found := scene.lead.hospitals()) != hands.wanted:
        if time.monotonic() > deadline:
            late = ", ".join(sorted(hands.wanted ^ found))
            raise FedefmError(f"{late}: not back at the server within {BACK_SECONDS:g} s; see {scene.place.kits}")
        time.sleep(PAUSE_SECONDS)


def _of_one_process(settings: Settings, folders: Mapping[str, Path]) -> str:
    return weights_sha256(theta_of(run_in_process(settings, folders).state.theta))


def _summary(
    seen: Evidence, verdicts: Sequence[Verdict], place: Place, clock: Stopwatch, began: datetime, seed: int
) -> dict[str, Any]:
    return {
        "kept": all(verdict.kept for verdict in verdicts),
        "began": began.isoformat(timespec="seconds"),
        "versions": versions(),
        "consortium": place.kits.parent.name,
        "server": place.server,
        "hospitals": list(place.hospitals),
        "rounds": seen.rounds,
        "seed": seed,
        "patience": seen.patience,
        "deadline": seen.deadline,
        "faults": [
            {
                "typed": verdict.fault.typed,
                "done": verdict.fault.words,
                "promised": verdict.promised,
                "happened": [{"kept": one.kept, "text": one.text} for one in verdict.found],
                "kept": verdict.kept,
            }
            for verdict in verdicts
        ],
        "lost": sorted(seen.job.lost),
        "theta": seen.job.theta,
        "expected": seen.job.expected,
        "trouble": seen.trouble,
        "seconds": clock.seconds,
    }
