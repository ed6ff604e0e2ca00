"""The live page in a real browser, and what its server refuses."""

import http.client
import json
import socket
import time

import pytest

from fedefm.commands.live_page import Shown, serving
from fedefm.commands.watch import page_policy
from fedefm.errors import ConfigError
from fedefm.exchange.messages import Stage
from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.report.live import render_live
from support.browser import browser

NOW = 1_700_000_000.0
SITES = {
    "hospital-a": HospitalStatus(
        "hospital-a",
        Condition.WORKING,
        stage=Stage.LOCAL,
        step=6,
        steps=8,
        heartbeat=NOW - 2,
        certificate_ends=NOW + 12.5 * 86_400,
    ),
    "hospital-b": HospitalStatus("hospital-b", Condition.SLOW, "at this for 90 s, which takes the others 4.0 s"),
    "hospital-c": HospitalStatus("hospital-c", Condition.DIED, "its job process died", lost=1),
}


def status(*hospitals):
    return JobStatus("job-1", NOW, NOW - 60, 1, 4, Stage.LOCAL, None, "", "", hospitals, NOW + 200.5 * 86_400)


def shown(*hospitals, trouble=""):
    return Shown(render_live("job-1", "RUNNING", status(*hospitals), trouble), status(*hospitals).to_dict())


@pytest.fixture
def server():
    with serving(0, shown(*SITES.values()), page_policy()) as made:
        yield made


def ask(server, path="/", method="GET", host=None):
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        link.request(method, path, headers={"Host": host or f"127.0.0.1:{server.server_port}"})
        answer = link.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        link.close()


def test_a_well_a_slow_and_a_dead_hospital_are_told_apart_in_a_browser(server, tmp_path):
    with browser(tmp_path / "profile") as tab:
        tab.call("Emulation.setDeviceMetricsOverride", width=1200, height=800, deviceScaleFactor=1, mobile=False)
        tab.call("Page.navigate", url=server.url)
        tab.wait("document.querySelectorAll('.hospital').length == 3")
        look = "[getComputedStyle(e).borderLeftColor, e.querySelector('.state').innerText, e.innerText]"
        seen = {site: tab.ask(f"(e => {look})(document.getElementById('{site}'))") for site in SITES}
        assert len({colour for colour, *_ in seen.values()}) == 3
        assert [words.split() for _, words, _ in seen.values()] == [["●", "working"], ["◐", "slow"], ["✕", "died"]]
        assert "its job process died" in seen["hospital-c"][2] and "6/8" in seen["hospital-a"][2]
        words = tab.ask("[...document.querySelectorAll('.hospital .expiring')].map(e => e.innerText)")
        assert words == ["expiring"] and "12 days left" in seen["hospital-a"][2]  # beside the one whose end is near
        assert "200 days left" in tab.ask("document.getElementById('server').innerText")
        tab.shoot(tmp_path / "live.png")

        server.shown = shown(SITES["hospital-a"], trouble="the server does not answer")
        tab.wait("document.querySelectorAll('.hospital').length == 1")  # without a reload
        assert "the server does not answer" in tab.ask("document.getElementById('trouble').innerText")
        assert tab.complaints == []
        assert {url.removeprefix(server.url) for url in tab.fetched if not url.startswith("data:")} == {"/"}

        assert tab.ask("document.getElementById('gone').hidden")
        server.shutdown()
        server.server_close()
        tab.wait("!document.getElementById('gone').hidden")
        server.serve_forever = lambda **_: None


def test_it_listens_on_the_loopback_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(ConfigError, match="leave out --port"), serving(server.server_port, shown(), "x"):
        pass


def test_it_answers_two_paths_and_no_other(server):
    status_code, page, headers = ask(server)
    assert status_code == 200 and "hospital-c" in page and headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    status_code, plain, _ = ask(server, "/status.json")
    assert status_code == 200 and json.loads(plain)["job"] == "job-1"
    for path in ("/index.html", "/../status.json", "/%2e%2e/etc/passwd", "/?x", "/status.json/"):
        assert ask(server, path)[0] == 404, path


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_it_can_only_be_read(server, method):
    assert ask(server, method=method)[0] == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.2:1", "localhost"])
def test_a_page_of_somebody_elses_name_is_refused(server, host):
    code, page, _ = ask(server, host=host)
    assert code == 421 and "hospital" not in page


def test_a_person_may_call_it_localhost(server):
    assert ask(server, host=f"localhost:{server.server_port}")[0] == 200


def test_who_says_nothing_holds_nobody_up(server):
    with socket.create_connection(("127.0.0.1", server.server_port)):
        begin = time.monotonic()
        assert ask(server)[0] == 200 and time.monotonic() - begin < 5
