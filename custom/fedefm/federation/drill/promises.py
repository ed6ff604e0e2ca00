"""What is promised of each fault, and how it is judged: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedefm.federation.console import ABANDONED, COMPLETED
from fedefm.federation.drill.evidence import Evidence, Outcome
from fedefm.federation.drill.faults import Fault, Kind

TIMES_PATIENCE = 2.0
"""A host has at most as many visitors as there are turns at once, one after the other; each is waited for anew."""

PAUSE = "pause"


@dataclass(frozen=True)
class Found:
    """One look at the evidence: whether it is as promised, and what was seen, for a reader."""

    kept: bool
    text: str


Check = Callable[[Fault, Evidence], Found]


@dataclass(frozen=True)
class Promise:
    """What holds whatever happens, in words and as checks.

    Attributes:
        text: for a reader.
        checks: all must hold.
        next_job: whether one of them is about the job after this one.
    """

    text: str
    checks: tuple[Check, ...]
    next_job: bool = False


@dataclass(frozen=True)
class Verdict:
    """What became of a promise.

    Attributes:
        fault: what was done.
        promised: in words.
        found: each check's.
    """

    fault: Fault
    promised: str
    found: tuple[Found, ...]

    @property
    def kept(self) -> bool:
        """Whether every check found what was promised."""
        return all(one.kept for one in self.found)


def was_done(fault: Fault, seen: Evidence) -> Found:
    """The fault itself took place; a drill whose fault did not happen shows nothing."""
    if fault not in seen.struck:
        return Found(False, "never done")
    if fault.kind is Kind.SLOW:
        carried = seen.carried.get(fault.site, 0)
        return Found(carried > 0, f"{carried / 1e6:.1f} MB through that line")
    if fault.kind is Kind.CUT:
        broken = seen.broken.get(fault.site, 0)
        return Found(broken > 0, f"done at {seen.struck[fault]:.0f} s, {broken} connections broken or refused")
    return Found(True, f"done at {seen.struck[fault]:.0f} s")


def job_ended(fault: Fault, seen: Evidence) -> Found:
    """The job completed all its rounds by its deadline, and its Theta is the one that its record names."""
    job = seen.job
    if job.status != COMPLETED:
        return Found(False, f"the job ended as {job.status or 'nothing'}" + (f": {seen.trouble}" * bool(seen.trouble)))
    rounds = [entry["round"] for entry in job.record.get("history", ())]
    if rounds != list(range(seen.rounds)):
        return Found(False, f"the record has rounds {[number + 1 for number in rounds]} of {seen.rounds}")
    if not job.theta or job.theta != recorded(job):
        return Found(False, "the downloaded Theta is not that of the record")
    return Found(seen.seconds <= seen.deadline, f"ended after {seen.seconds:.0f} of {seen.deadline:.0f} s")


def theta_as_promised(fault: Fault, seen: Evidence) -> Found:
    """Where nobody was lost Theta is that of one process; else only those are missing that a fault took out."""
    job = seen.job
    others = sorted(job.lost - seen.may_be_lost)
    if others:
        return Found(False, f"lost without a fault of its own: {', '.join(others)}")
    if job.lost:
        without = ", ".join(sorted(job.lost))
        return Found(bool(job.theta), f"Theta without {without} in some round, so held against its record alone")
    same = bool(job.theta) and job.theta == recorded(job) == job.expected
    return Found(same, "Theta of one process" if same else f"Theta {job.theta[:16]}, not {job.expected[:16]}")


def never_lost(fault: Fault, seen: Evidence) -> Found:
    """This hospital took part in every round; one that another fault took out has to do with that one."""
    if fault.site in seen.may_be_lost:
        return Found(True, "judged by its other fault")
    missing = [k + 1 for k in range(seen.rounds) if fault.site not in seen.job.took_part(k)]
    if fault.site in seen.job.lost or missing:
        return Found(False, f"lost{f', not in rounds {missing}' if missing else ''}")
    return Found(True, "in every round")


def named_in_time(fault: Fault, seen: Evidence) -> Found:
    """The record names the hospital as lost, soon enough."""
    loss, most = seen.loss_of(fault), TIMES_PATIENCE * seen.patience
    if loss is None or fault.site not in {one["site"] for one in seen.job.record.get("lost", ())}:
        return Found(False, "not named as lost")
    seconds, reason = loss
    return Found(seconds <= most, f"named as lost after {seconds:.0f} s ({reason})")


def left_out(fault: Fault, seen: Evidence) -> Found:
    """After that round the job goes on without it; a server's restart begins a job that may have it again."""
    restarts = [one.round - 1 for one in seen.faults if one.kind is Kind.RESTART and one.round > fault.round]
    until = seen.rounds if fault.kind is Kind.DISABLE or not restarts else min(restarts)
    if fault.round >= until:
        return Found(True, "whether the others went on without it was not seen: the server's restart came first")
    found = [k + 1 for k in range(fault.round, until) if fault.site in seen.job.took_part(k)]
    return Found(not found, f"took part in round {found[0]}" if found else "the others went on without it")


def removed(fault: Fault, seen: Evidence) -> Found:
    """The record says that the consortium removed it, and nothing of it was taken from then on."""
    named = [one for one in seen.job.record.get("standings", ()) if one["site"] == fault.site]
    if "removed" not in {one["standing"] for one in named}:
        return Found(False, "not named as removed")
    taken = seen.taken_after_removal(fault.site)
    return Found(taken == 0, "named as removed, nothing taken from it" if taken == 0 else f"{taken} results taken")


def closed_and_resumed(fault: Fault, seen: Evidence) -> Found:
    """The old job is closed, and the same job goes on from the round that was played."""
    if seen.abandoned != ABANDONED:
        return Found(False, f"the old job is {seen.abandoned or 'unknown'}, not abandoned")
    at = [item["round"] + 1 for item in seen.job.record.get("resumed", ())]
    return Found(
        at == [fault.round], f"old job closed, the same one {f'went on from round {at}' if at else 'began anew'}"
    )


def back_in_the_next_job(fault: Fault, seen: Evidence) -> Found:
    """The job after this one has the hospital in, loses nobody, and gives the Theta of one process."""
    after = seen.after
    if after is None or after.status != COMPLETED:
        return Found(False, f"the next job ended as {after.status if after else 'nothing'}")
    if fault.site not in after.took_part(0) or after.lost:
        return Found(False, f"next job: lost {', '.join(sorted(after.lost)) or fault.site}")
    same = bool(after.theta) and after.theta == recorded(after) == after.expected
    return Found(same, "in again in the next job" if same else "the next job's Theta is not that of one process")


def not_in_the_next_job(fault: Fault, seen: Evidence) -> Found:
    """The job after this one goes without it."""
    after = seen.after
    if after is None or after.status != COMPLETED:
        return Found(False, f"the next job ended as {after.status if after else 'nothing'}")
    inside = fault.site in after.record.get("sites", ()) or fault.site in after.took_part(0)
    return Found(not inside, "in the next job all the same" if inside else "not in the next job either")


PROMISES: Mapping[str, Promise] = {
    Kind.SLOW: Promise(
        "nobody lost by it, Theta of one process",
        (was_done, job_ended, never_lost, theta_as_promised),
    ),
    Kind.CUT: Promise(
        "Theta within the deadline, from all others at least; in again in the next job",
        (was_done, job_ended, theta_as_promised, back_in_the_next_job),
        next_job=True,
    ),
    PAUSE: Promise(
        "shorter than work is waited for: Theta within the deadline, in again in the next job",
        (was_done, job_ended, theta_as_promised, back_in_the_next_job),
        next_job=True,
    ),
    Kind.FREEZE: Promise(
        "named as lost in time, Theta of the others; in again in the next job",
        (was_done, job_ended, named_in_time, theta_as_promised, back_in_the_next_job),
        next_job=True,
    ),
    Kind.KILL: Promise(
        "named as lost, the job ends with the Theta of the others; in again in the next job",
        (was_done, job_ended, named_in_time, left_out, theta_as_promised, back_in_the_next_job),
        next_job=True,
    ),
    Kind.RESTART: Promise(
        "the job is closed as abandoned; the same job, submitted again, goes on and ends, with the Theta of one "
        "process where no other fault took a hospital out",
        (was_done, closed_and_resumed, job_ended, theta_as_promised),
    ),
    Kind.DISABLE: Promise(
        "named as removed, nothing taken from it, not in the next job; Theta of the others",
        (was_done, job_ended, removed, left_out, theta_as_promised, not_in_the_next_job),
        next_job=True,
    ),
}
"""Every promise; all are in force at once, so Theta is that of one process only where no fault takes a hospital out."""


def promise_of(fault: Fault, patience: float) -> Promise:
    """The promise of a fault in a job that waits so many seconds for silent work."""
    short = fault.kind is Kind.FREEZE and fault.seconds is not None and fault.seconds < TIMES_PATIENCE * patience
    return PROMISES[PAUSE if short else fault.kind]


def judge(seen: Evidence) -> list[Verdict]:
    """A verdict for each fault, in their order."""
    verdicts = []
    for fault in seen.faults:
        promise = promise_of(fault, seen.patience)
        verdicts.append(Verdict(fault, promise.text, tuple(check(fault, seen) for check in promise.checks)))
    return verdicts


def recorded(job: Outcome) -> str:
    """The hash of Theta that a record names; empty where it has none."""
    return str((job.record.get("theta") or {}).get("sha256", ""))
