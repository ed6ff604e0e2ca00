"""The page of a real federation shows, in a browser, what the page of the same job in the simulator shows."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.federation.place import provision
from fedefm.federation.rehearsal import JOB, small_settings, synthetic_hospitals
from fedefm.federation.sites import running
from fedefm.flare.job_files import DOWNLOADED
from fedefm.flare.job_folder import write_job
from fedefm.kits.kit import open_kit
from fedefm.report.write import HTML_NAME, JSON_NAME
from fedefm.trust import verify_folder
from support.browser import Tab, browser

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(900)]

SECTIONS = ("scores", "models", "experts", "curves", "lost", "appendix")
MEASURED_ON_THIS_RUN = {"pictures", "costs"}  # images stay at hospitals; seconds differ from run to run
READ = """(() => {
  document.querySelectorAll('details').forEach(one => one.open = true);
  const found = {};
  for (const head of document.querySelectorAll('h2[id]')) {
    let text = head.innerText, next = head.nextElementSibling;
    for (; next && next.tagName !== 'H2' && next.tagName !== 'FOOTER'; next = next.nextElementSibling) {
      text += '\\n' + next.innerText;
      for (const one of next.querySelectorAll('img')) text += '\\n' + one.alt + one.naturalWidth + one.src;
    }
    found[head.id] = text;
  }
  return found;
})()"""


def sections(tab: Tab, page: Path) -> dict[str, str]:
    """What a reader sees below each heading; pictures by their content."""
    tab.open(page)
    return tab.ask(READ)


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that must succeed prints."""
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def test_the_leads_commands_give_a_page_that_shows_what_the_simulators_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, job, simulated = provision(tmp_path), tmp_path / JOB, tmp_path / "simulated" / JOB  # named by its folder
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    write_job(job, small_settings(0))
    kit = place.kit(place.people["lead"])
    lead = ["--startup-kit", str(kit)]
    with running(place, folders):
        job_id = json.loads(printed(["job", "submit", str(job), *lead, "--json"], capsys))["job_id"]
        assert "it is over, completed" in printed(["job", "watch", job_id, *lead], capsys)
        said = printed(["job", "report", job_id, *lead, "--sign", "--results", str(tmp_path / "results")], capsys)
    left = tmp_path / "results" / job_id / DOWNLOADED
    assert f"report: {left / HTML_NAME}" in said
    verify_folder(left, open_kit(kit).root, kind="report", roles=["lead"])
    printed(["simulate", "--job", str(job), "--sites", str(tmp_path / "data"), "--out", str(simulated)], capsys)
    records = [json.loads((folder / JSON_NAME).read_text()) for folder in (left, simulated)]
    assert records[0]["theta"]["sha256"] == records[1]["theta"]["sha256"]
    with browser(tmp_path / "profile") as tab:
        real, simulators = (sections(tab, folder / HTML_NAME) for folder in (left, simulated))
        assert tab.complaints == [] and all(address.startswith(("file:", "data:")) for address in tab.fetched)
    assert list(real) == list(simulators) and set(real) == {*SECTIONS, *MEASURED_ON_THIS_RUN}
    for section in SECTIONS:
        assert real[section] == simulators[section] and len(real[section]) > 20
    assert "stay at the hospitals" in real["pictures"] and "stay at the hospitals" not in simulators["pictures"]
    for stage in ("prepare", "local", "overseas", "distil"):
        assert stage in real["costs"] and stage in simulators["costs"]
