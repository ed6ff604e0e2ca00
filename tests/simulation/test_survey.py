import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from fedefm.data.png_file import write_png
from fedefm.simulation.survey import report_data
from fedefm.survey.settings import Survey
from support.exports import PLANTED, frames, planted, save

SETTINGS = Survey(("catheter", "guidewire", "vessel"), least_images=2, min_sites=2)
RUN = ("created", "seconds", "bytes")


def full_of_names(folder: Path) -> Path:
    """A hospital that cleaned nothing: names in headers, in names of files and classes, and a damaged file."""
    for k in range(8):
        image = save(planted(frames(k, 1, 32), k), folder / "images" / f"ALONSO_{k}.dcm")
        (folder / "masks").mkdir(exist_ok=True)
        write_png(folder / "masks" / f"ALONSO_{k}.png", np.eye(32, dtype=np.uint8))
    image.write_bytes(image.read_bytes()[:-900])
    said = {"name": "LA MANCHA", "classes": {"0": "background", "1": "vessel", "2": "stent of SANCHO"}}
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


def with_copies(source: Path, folder: Path) -> Path:
    """A hospital with some of another's pictures, two encoded anew and two of half the size, and none else."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for k, path in enumerate(sorted((source / "images").iterdir())[:4]):
        image = Image.open(path).convert("L")
        image = image.reduce(2) if k % 2 else image
        image.save(folder / "images" / f"{k}.{'png' if k % 2 else 'jpg'}", **({} if k % 2 else {"quality": 90}))
        write_png(folder / "masks" / f"{k}.png", np.zeros((image.height, image.width), np.uint8))
    (folder / "dataset.json").write_text((source / "dataset.json").read_text())
    return folder


@pytest.mark.slow
@pytest.mark.simulator
def test_the_simulator_and_one_process_tell_the_same_and_no_name(consortium: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "QUIXOTE" / "images").mkdir(parents=True)  # a hospital whose folder cannot be used at all
    (tmp_path / "QUIXOTE" / "images" / "WINDMILL").write_bytes(b"CERVANTES")
    folders = {
        "east": consortium["east"],
        "names": full_of_names(tmp_path / "names"),
        "broken": tmp_path / "QUIXOTE",
        "twin": with_copies(consortium["east"], tmp_path / "twin"),
    }
    over_flare = report_data(SETTINGS, folders, tmp_path / "flare")
    here = report_data(SETTINGS, folders, tmp_path / "here", simulator=False)
    apart = (*RUN, "lost")  # FLARE tells the class of an error and no more
    assert {k: v for k, v in over_flare.items() if k not in apart} == {k: v for k, v in here.items() if k not in apart}
    assert [lost["site"] for lost in over_flare["lost"]] == ["broken"]
    common = {"+".join(one["sites"]): one["common"] for one in over_flare["same_pictures"] if one["compared"]}
    assert common == {"east+names": None, "east+twin": 4, "names+twin": None}
    assert "offer" in over_flare["seconds"] and "east and twin both have 4" in over_flare["remarks"][0]["text"]
    told = over_flare["summaries"]["names"]
    assert (told["others"], told["corpus"]) == (1, ["vessel"])
    left = [path for path in (tmp_path / "flare").rglob("*") if path.is_file()]
    assert {path.name for path in left} >= {"report.json", "report.html"}
    for path in left:
        found = [word for word in PLANTED if word.encode() in path.read_bytes()]
        assert found == [], path.name


def test_the_command_writes_the_page_and_makes_it_again_from_a_record(
    consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = [word for name, folder in consortium.items() for word in ("--site", f"{name}={folder}")]
    out = tmp_path / "one"
    assert main(["data", "report", *sites, "--in-process", "--least-images", "2", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in consortium) and "report.html" in told
    assert main(["report", str(out / "report.json"), "--out", str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "report.json").read_text())
    assert (tmp_path / "two" / "report.html").read_text() == (out / "report.html").read_text()
    assert not any(word in told for word in PLANTED)
