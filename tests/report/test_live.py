"""What the live page and its table say of a status; hostile texts stay texts."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from fedefm.errors import ConfigError
from fedefm.exchange.messages import Stage
from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.report.live import LOOKS, SCRIPT, headline, render_live, row_of, script_hash, table, told
from fedefm.settings import build

NOW = 1_700_000_000.0


def hospital(site="hospital-a", condition=Condition.WORKING, **more):
    return HospitalStatus(site=site, condition=condition, **more)


def status(*hospitals, **more):
    plain = {"job": "job-1", "written": NOW, "began": NOW - 60, "round": 1, "rounds": 4, "stage": Stage.OVERSEAS}
    plain |= {"ends": NOW + 300, "end": "", "note": "", "hospitals": hospitals}
    return JobStatus(**(plain | more))


AT_WORK = hospital(
    stage=Stage.OVERSEAS,
    visitor="hospital-b",
    step=3,
    steps=12,
    queue=1,
    steps_per_second=0.5,
    ends=NOW + 18,
    given_up=NOW + 110,
    heartbeat=NOW - 4,
    sent=2_000_000,
    received=3_500_000,
    done=5,
    lost=1,
)


def test_a_row_says_what_until_when_and_how_much():
    row = row_of(AT_WORK, NOW)
    assert (row.work, row.steps, row.share, row.speed) == (
        "overseas, hosts hospital-b (+1 more)",
        "3/12",
        0.25,
        "0.5 steps/s",
    )
    assert row.until == "done in about 18 s; given up in 110 s" and row.heartbeat == "4 s ago"
    assert (row.sent, row.received, row.done, row.lost) == ("2.000 MB", "3.500 MB", 5, 1)


def test_the_headline_says_where_the_job_is_and_until_when():
    assert headline(status()).startswith("round 2 of 4, overseas; its rounds end in about 5 min, at ")
    assert headline(status(round=4, stage=Stage.EVALUATE, ends=None)) == "after the rounds, evaluate"
    assert headline(status(end="finished")) == "the job has ended: finished"


def test_every_condition_has_a_mark_and_its_word_on_page_and_terminal():
    hospitals = [hospital(f"h-{one.value}", one) for one in Condition]
    assert set(LOOKS) == set(Condition) and len({mark for mark, _ in LOOKS.values()}) == len(LOOKS) - 1
    page, screen = render_live("job-1", "RUNNING", status(*hospitals)), io.StringIO()
    Console(file=screen, width=200, color_system=None).print(table("job-1", "RUNNING", status(*hospitals)))
    for one in Condition:
        [card] = re.findall(rf'id="h-{one.value}".*?</section>', page, re.DOTALL)
        assert re.search(rf'<p class="state">.*</span> {one.value}</p>', card)
        [line] = [line for line in screen.getvalue().splitlines() if line.startswith(f"h-{one.value}")]
        assert f" {one.value} " in line


def test_the_terminal_of_80_columns_holds_a_line_for_each_hospital_and_its_reason():
    screen, slow = io.StringIO(), hospital("hospital-b", Condition.SLOW, reason="at this for 90 s", sent=1_234_567)
    Console(file=screen, width=80, color_system=None).print(table("job-1", "RUNNING", status(AT_WORK, slow)))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    [line] = [line for line in lines if line.startswith("hospital-b  ")]
    assert line.split() == ["hospital-b", "◐", "slow", "–", "–", "–", "–", "1.2", "0.0", "0", "0"]
    assert "hospital-b: at this for 90 s" in lines
    assert "hospital-a: done in about 18 s; given up in 110 s" in lines


DAY = 86_400.0


@pytest.mark.parametrize(
    ("left", "says", "word"),
    [
        (100.5, "100 days left", ""),
        (30, "30 days left", ""),
        (29.9, "29 days left", "expiring"),
        (1.5, "1 day left", "expiring"),
        (0.2, "0 days left", "expiring"),
        (-0.1, "ended", "expired"),
        (None, "–", ""),
    ],
)
def test_a_certificate_that_ends_within_30_days_is_told_in_one_word(left, says, word):
    row = row_of(hospital(certificate_ends=None if left is None else NOW + left * DAY), NOW)
    assert (row.certificate, row.expiring) == (says, word)


def test_page_and_terminal_say_whose_certificate_has_to_be_renewed():
    soon, later = NOW + 12.5 * DAY, NOW + 200 * DAY
    hospitals = (hospital("h-soon", certificate_ends=soon), hospital("h-later", certificate_ends=later))
    seen = status(*hospitals, certificate_ends=NOW + 3.5 * DAY)
    page, screen = render_live("job-1", "RUNNING", seen), io.StringIO()
    cards = {site: re.findall(rf'id="{site}".*?</section>', page, re.DOTALL)[0] for site in ("h-soon", "h-later")}
    assert '<p class="expiring">expiring</p>' in cards["h-soon"] and "12 days left" in cards["h-soon"]
    assert "expiring" not in cards["h-later"] and "200 days left" in cards["h-later"]
    assert re.search(r'id="server">[^<]*3 days left\s*<strong class="expiring">expiring', page)
    Console(file=screen, width=80, color_system=None).print(table("job-1", "RUNNING", seen))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "h-soon: expiring: its certificate, 12 days left" in lines
    assert "the server: expiring: its certificate, 3 days left" in lines
    assert not [line for line in lines if line.startswith("h-later: ")]


@pytest.mark.parametrize("end", [-1.0, 1e12, float("nan"), float("inf"), "soon", True, [NOW]])
def test_an_end_that_is_no_time_is_refused_where_it_comes_from_the_server(end):
    plain = status(hospital(certificate_ends=NOW)).to_dict()
    assert build(JobStatus, plain, "status").hospitals[0].certificate_ends == NOW
    plain["hospitals"][0]["certificate_ends"] = end
    with pytest.raises(ConfigError):
        build(JobStatus, plain, "status")
    plain = status().to_dict() | {"certificate_ends": end}
    with pytest.raises(ConfigError):
        build(JobStatus, plain, "status")


def test_a_job_that_does_not_run_says_what_flare_says():
    page = render_live("job-1", "FINISHED:COMPLETED", None)
    assert "it is over, completed" in page and 'class="card' not in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"])
def test_a_hostile_reason_stays_a_text(text):
    page = render_live(text, text, status(replace(AT_WORK, reason=text)), trouble=text)
    assert page.count("<script>") == 1 and "<img" not in page and "49" not in page.replace("149", "")
    assert f"<script>{SCRIPT}</script>" in page


def test_the_hash_is_that_of_the_script_on_the_page():
    import base64
    import hashlib

    [script] = re.findall(r"<script>(.*?)</script>", render_live("job-1", "RUNNING", status()), re.DOTALL)
    assert script_hash() == "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@pytest.mark.parametrize(
    ("flare", "words"),
    [
        ("FINISHED:COMPLETED", "it is over, completed: fetch it with `fedefm report`"),
        ("FINISHED:ABANDONED", "submit the same job again"),
        ("FINISHED:EXECUTION_EXCEPTION", "it is over, execution exception: the server's log says why"),
        ("SUBMITTED", "submitted: the server tells of hospitals while the job runs"),
        ("", "unknown: "),
    ],
)
def test_a_job_that_does_not_run_says_what_to_do_next(flare, words):
    assert words in told(flare, None)
