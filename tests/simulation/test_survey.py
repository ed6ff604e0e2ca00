import json
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.simulation.survey import report_data
from fedefm.survey.settings import Survey
from support.exports import PLANTED

SETTINGS = Survey(("catheter", "guidewire", "vessel"), least_images=2, min_sites=2, stage_timeout=60)
RUN = ("created", "seconds", "bytes")


@pytest.mark.simulator
def test_the_simulator_and_one_process_tell_the_same(consortium: dict[str, Path], tmp_path: Path) -> None:
    over_flare = report_data(SETTINGS, consortium, tmp_path / "flare")
    here = report_data(SETTINGS, consortium, tmp_path / "here", simulator=False)
    assert {k: v for k, v in over_flare.items() if k not in RUN} == {k: v for k, v in here.items() if k not in RUN}
    assert (tmp_path / "flare" / "report.html").is_file() and not over_flare["lost"]


def test_the_command_writes_the_page_and_makes_it_again_from_a_record(
    consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = [word for name, folder in consortium.items() for word in ("--site", f"{name}={folder}")]
    out = tmp_path / "one"
    assert main(["data", "report", *sites, "--in-process", "--least-images", "2", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in consortium) and "report.html" in told
    again = ["data", "report", "--record", str(out / "report.json"), "--out", str(tmp_path / "two"), "--json"]
    assert main(again) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "report.json").read_text())
    assert (tmp_path / "two" / "report.html").read_text() == (out / "report.html").read_text()
    (tmp_path / "other.json").write_text('{"kind": "foundation"}')
    assert main(["data", "report", "--record", str(tmp_path / "other.json"), "--out", str(tmp_path / "three")]) == 2
    assert not any(word in told for word in PLANTED)
