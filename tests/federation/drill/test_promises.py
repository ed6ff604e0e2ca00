"""Each promise of the table against what a drill may have seen: kept where it was, broken by all that breaks it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fedefm.commands.rehearse import FAULTS
from fedefm.exchange.events import StageStarted, Standing, StandingChanged, TaskDone, TaskLost
from fedefm.exchange.messages import Lost, Stage, Task
from fedefm.federation.console import ABANDONED, COMPLETED
from fedefm.federation.drill.evidence import Evidence, Outcome, Told
from fedefm.federation.drill.faults import EXAMPLES, FORMS, Kind, read_fault, rounds_of
from fedefm.federation.drill.promises import PAUSE, PROMISES, judge, promise_of

A, B, C = HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
THETA, OTHERS, NEXT = "1" * 64, "2" * 64, "3" * 64
PATIENCE = 10.0


def record(rounds, hospitals=HOSPITALS, theta=THETA, without=(), lost=(), removed=(), resumed=()):
    """A record of a job: `without` names who is missing in a round (from 1) and all later ones."""
    gone = dict(without)
    return {
        "sites": list(hospitals),
        "history": [
            {"round": k, "loss": {"distil": {s: 0.5 for s in hospitals if k + 1 < gone.get(s, rounds + 1)}}}
            for k in range(rounds)
        ],
        "lost": [{"site": site} for site in lost],
        "standings": [{"site": site, "standing": "removed"} for site in removed],
        "resumed": [{"round": k - 1} for k in resumed],
        "theta": {"sha256": theta},
    }


def evidence(*typed, **changes):
    """What a drill saw that went as promised for nobody in particular: nothing was lost."""
    faults = tuple(read_fault(Kind(kind), text, HOSPITALS) for kind, text in (line.split() for line in typed))
    rounds = rounds_of(faults)
    whole = Outcome(HOSPITALS, COMPLETED, record(rounds), THETA, THETA)
    after = Outcome(HOSPITALS, COMPLETED, record(1, theta=NEXT), NEXT, NEXT)
    seen = Evidence(
        faults,
        rounds=rounds,
        patience=PATIENCE,
        deadline=900.0,
        seconds=100.0,
        job=whole,
        struck=dict.fromkeys(faults, 5.0),
        after=after,
        carried=dict.fromkeys(HOSPITALS, 10**6),
        broken=dict.fromkeys(HOSPITALS, 3),
    )
    return replace(seen, **changes)


def with_job(seen, **changes):
    """The same with another record of the job, or another Theta."""
    theta = changes.pop("theta", THETA)
    return replace(seen, job=replace(seen.job, record=record(seen.rounds, theta=theta, **changes), theta=theta))


def loss(site, round_, seconds):
    """The events of a stage that began at 6 s, and of a loss some seconds later."""
    started = StageStarted(round_ - 1, 5, Stage.OVERSEAS, 2)
    lost = TaskLost(Lost(site, round_ - 1, Stage.OVERSEAS, "no answer"))
    return (Told(6.0, started), Told(6.0 + seconds, lost))


def killed(round_=3, **changes):
    seen = evidence(f"kill b@{round_}", told=loss(B, round_, 2.0))
    return with_job(seen, **({"theta": OTHERS, "lost": [B], "without": [(B, round_)]} | changes))


def removal(taken=0):
    """The events of a removal, with so many results after it."""
    gone = Told(7.0, StandingChanged(2, C, Standing.REMOVED, "removed by the consortium"))
    done = Told(8.0, TaskDone(Task(Stage.LOCAL, 2, C, C, 1)))
    other = Told(9.0, TaskDone(Task(Stage.LOCAL, 2, A, A, 1)))
    return (Told(6.0, TaskDone(Task(Stage.LOCAL, 1, C, C, 1))), gone, *[done] * taken, other)


def disabled(**changes):
    seen = with_job(evidence("disable c@3"), theta=OTHERS, removed=[C], without=[(C, 4)])
    two = Outcome((A, B), COMPLETED, record(1, (A, B), NEXT), NEXT, NEXT)
    return replace(seen, **({"told": removal(), "after": two} | changes))


def restarted(**changes):
    return with_job(evidence("restart server@2", abandoned=ABANDONED), **({"resumed": [2]} | changes))


KEPT = {
    "slow": evidence("slow a=4mbit"),
    "cut, and nobody noticed": evidence("cut c@2:60"),
    "cut, and lost": with_job(evidence("cut c@2:60"), theta=OTHERS, lost=[C]),
    "frozen": with_job(evidence("freeze b@2", told=loss(B, 2, 11.0)), theta=OTHERS, lost=[B]),
    "frozen for a moment": evidence("freeze b@2:5"),
    "killed": killed(),
    "restarted": restarted(),
    "disabled": disabled(),
}
BROKEN = {
    "slow, and lost": with_job(evidence("slow a=4mbit"), theta=OTHERS, lost=[A]),
    "slow, and not in a round": with_job(evidence("slow a=4mbit"), without=[(A, 2)]),
    "slow, and another Theta": with_job(evidence("slow a=4mbit"), theta=OTHERS),
    "slow, and nothing went that way": evidence("slow a=4mbit", carried={}),
    "cut, and no connection broke": evidence("cut c@2:60", broken={}),
    "cut, and after the deadline": evidence("cut c@2:60", seconds=901.0),
    "cut, and the job failed": evidence("cut c@2:60", job=Outcome(HOSPITALS, "FINISHED:EXECUTION_EXCEPTION")),
    "cut, and another one lost": with_job(evidence("cut c@2:60"), theta=OTHERS, lost=[A]),
    "cut, and not back": evidence("cut c@2:60", after=None),
    "cut, and the next job loses somebody": evidence(
        "cut c@2:60", after=Outcome(HOSPITALS, COMPLETED, record(1, theta=NEXT, lost=[C]), NEXT, NEXT)
    ),
    "cut, and the next Theta is another": evidence(
        "cut c@2:60", after=Outcome(HOSPITALS, COMPLETED, record(1, theta=NEXT), NEXT, THETA)
    ),
    "frozen, and never named": evidence("freeze b@2"),
    "frozen, and named in a later round": with_job(
        evidence("freeze b@2", told=loss(B, 3, 2.0)), theta=OTHERS, lost=[B]
    ),
    "frozen, and named too late": with_job(evidence("freeze b@2", told=loss(B, 2, 21.0)), theta=OTHERS, lost=[B]),
    "killed, and not named": killed(lost=[]),
    "killed, and in a later round all the same": killed(2, without=[]),
    "killed, and the file is another Theta": replace(killed(), job=replace(killed().job, theta=THETA)),
    "killed, and a round is missing": replace(killed(), rounds=5),
    "restarted, and the job still runs": replace(restarted(), abandoned="RUNNING"),
    "restarted, and it began anew": restarted(resumed=[]),
    "restarted, and it went on from another round": restarted(resumed=[1]),
    "restarted, and another Theta": restarted(theta=OTHERS),
    "disabled, and not named": with_job(disabled(), theta=OTHERS, without=[(C, 4)], lost=[C]),
    "disabled, and a result was taken": disabled(told=removal(1)),
    "disabled, and in the next job": disabled(after=evidence("kill b@3").after),
    "never done": evidence("freeze b@2:5", struck={}),
}


@pytest.mark.parametrize("seen", KEPT.values(), ids=KEPT)
def test_what_went_as_promised_is_kept(seen):
    [verdict] = judge(seen)
    assert verdict.kept, verdict.found
    assert all(one.text for one in verdict.found)


@pytest.mark.parametrize("seen", BROKEN.values(), ids=BROKEN)
def test_what_did_not_is_broken_and_the_verdict_says_why(seen):
    [verdict] = judge(seen)
    assert [one.text for one in verdict.found if not one.kept]


def test_every_fault_has_a_promise_that_begins_with_the_fault_itself():
    assert set(PROMISES) == {*Kind, PAUSE}
    for kind, text in EXAMPLES.items():
        promise = promise_of(read_fault(kind, text, HOSPITALS), PATIENCE)
        assert promise.text and promise.checks[0].__name__ == "was_done"


def test_a_freeze_is_a_pause_where_work_is_waited_for_longer():
    short, long, endless = (read_fault(Kind.FREEZE, text, HOSPITALS) for text in ("b@2:19", "b@2:20", "b@2"))
    assert promise_of(short, PATIENCE) is PROMISES[PAUSE]
    assert promise_of(long, PATIENCE) is promise_of(endless, PATIENCE) is PROMISES[Kind.FREEZE]


def test_faults_together_are_judged_each_by_itself_and_theta_by_all():
    """The slow one and the restarted server lost nobody: that Theta is another one is the killed one's doing."""
    seen = evidence("slow a=4mbit", "restart server@2", "kill b@3", abandoned=ABANDONED, told=loss(B, 3, 2.0))
    seen = with_job(seen, theta=OTHERS, lost=[B], without=[(B, 3)], resumed=[2])
    assert [verdict.kept for verdict in judge(seen)] == [True, True, True]
    also = with_job(seen, theta=OTHERS, lost=[B, C], without=[(B, 3)], resumed=[2])
    assert [verdict.kept for verdict in judge(also)] == [False, False, False]


def test_a_killed_hospital_may_be_back_after_the_servers_restart():
    seen = evidence("kill b@1", "restart server@3", abandoned=ABANDONED, told=loss(B, 1, 2.0))
    there = with_job(seen, theta=OTHERS, lost=[B], resumed=[3])
    for entry in there.job.record["history"][:2]:
        del entry["loss"]["distil"][B]
    assert [verdict.kept for verdict in judge(there)] == [True, True]


def test_page_command_and_table_know_the_same_faults():
    page = (Path(__file__).parents[3] / "docs" / "consortium-admin.md").read_text()
    rows = re.findall(r"^\| `--(\w+) \S+` \|", page.partition("\n## Rehearse the faults\n")[2], re.MULTILINE)
    assert set(rows) == set(Kind)
    assert {name: form for name, (form, _) in FAULTS.items()} == FORMS
