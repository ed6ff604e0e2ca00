"""The page of a real federation shows, in a browser, what the page of the same job in the simulator shows."""

import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.federation.rehearsal import JOB, WORK
from fedefm.report.write import HTML_NAME, JSON_NAME
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


def test_it_shows_what_the_simulators_shows(tmp_path: Path) -> None:
    out, simulated = tmp_path / "out", tmp_path / "simulated" / JOB  # a run is named by its folder
    assert main(["federation", "--out", str(out), "--keep"]) == 0
    assert main(["report", str(out)]) == 0
    job, data = out / WORK / "job" / JOB, out / WORK / "data"
    assert main(["simulate", "--job", str(job), "--sites", str(data), "--out", str(simulated)]) == 0
    records = [json.loads((folder / JSON_NAME).read_text()) for folder in (out, simulated)]
    assert records[0]["theta"]["sha256"] == records[1]["theta"]["sha256"]
    with browser(tmp_path / "profile") as tab:
        real, simulators = (sections(tab, folder / HTML_NAME) for folder in (out, simulated))
        assert tab.complaints == [] and all(address.startswith(("file:", "data:")) for address in tab.fetched)
    assert list(real) == list(simulators) and set(real) == {*SECTIONS, *MEASURED_ON_THIS_RUN}
    for section in SECTIONS:
        assert real[section] == simulators[section] and len(real[section]) > 20
    assert "stay at the hospitals" in real["pictures"] and "stay at the hospitals" not in simulators["pictures"]
    for stage in ("prepare", "local", "overseas", "distil"):
        assert stage in real["costs"] and stage in simulators["costs"]
