"""`fedefm data check` and `overlap` as a person types them; no identifier is in what may leave, nor in a log."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.cli import main
from fedefm.data.dataset import load_site
from fedefm.errors import ConfigError
from support.angiograms import angiogram, new_folder, site
from support.dicom_files import dicom, element, text

PLANTED = ("Miller", "PAT4711", "19700101", "Private7", "1.2.840.99")


def planted(folder: Path, count: int = 12) -> Path:
    """Identifiers in the folder's name, files' names, tags and a private group."""
    new_folder(folder)
    for k in range(count):
        grey, mask = angiogram(k)
        tags = text(0x00100010, "PN", f"Miller^{k}") + text(0x00100020, "LO", f"PAT4711{k}")
        tags += text(0x00100030, "DA", "19700101") + text(0x0020000D, "UI", f"1.2.840.99.{k}")
        tags += text(0x00190010, "LO", "Private7") + element(0x00191001, "LO", b"Private7 Miller")
        (folder / f"images/Miller_PAT4711_{k}.dcm").write_bytes(dicom(grey.astype(np.uint16), 8, before=tags))
        Image.fromarray(mask).save(folder / f"masks/Miller_PAT4711_{k}.png")
    (folder / "images/Miller_bad.dcm").write_bytes(b"nothing")
    Image.fromarray(mask).save(folder / "masks/Miller_bad.png")
    return folder


def traces(content: str) -> list[str]:
    return [one for one in PLANTED if one.casefold() in content.casefold()]


def test_planted_identifiers_are_in_no_summary_and_no_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = planted(tmp_path / "Miller-1970")
    with caplog.at_level(logging.DEBUG):
        assert (
            main(["data", "check", str(folder), "--summary", str(tmp_path / "may-leave.json"), "--threads", "1"]) == 0
        )
        load_site(folder, ("guidewire", "catheter"), 32, cache=tmp_path / "cache")
    leaves = (tmp_path / "may-leave.json").read_text()
    assert traces(leaves) == [] and traces(caplog.text) == []
    assert json.loads(leaves)["formats"] == {"DICOM": 12}
    shown = capsys.readouterr()
    assert traces(shown.err) == []
    tags = (
        "Miller^",
        "19700101",
        "Private7",
        "1.2.840.99",
    )  # names of files are the hospital's own to see, tags are not
    assert [one for one in tags if one in shown.out] == []
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("looks/*") if path.is_file())
    assert all(one.encode() not in kept for one in ("PAT47110\0", "19700101", "Private7", "1.2.840.99"))


def test_the_page_holds_names_and_no_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = planted(tmp_path / "x")
    assert main(["data", "check", str(folder), "--sheet", str(tmp_path / "sheet.html")]) == 0
    assert "must not leave the hospital: " in capsys.readouterr().out
    page = (tmp_path / "sheet.html").read_text()
    assert "Miller_PAT4711_3.dcm" in page
    assert all(one not in page for one in ("Miller^", "19700101", "Private7", "1.2.840.99"))


def test_nothing_is_written_but_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = planted(tmp_path / "x")
    before = sorted(path for path in tmp_path.rglob("*"))
    assert main(["data", "check", str(folder)]) == 0
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert f"see it: fedefm data check {folder} --sheet FILE.html" in capsys.readouterr().out


def test_json_holds_the_groups_and_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {f"run{r}_f{k}": angiogram(r, shift=k) for r in (1, 2, 3) for k in range(3)}
    assert main(["data", "check", str(site(tmp_path / "x", names)), "--json"]) == 0
    grouped = json.loads(capsys.readouterr().out)["grouped"]
    assert grouped["groups"] == 3 and grouped["by"] == {"frames of one series in names": 6}
    assert "patient" in grouped["offer"]["patients"] and not grouped["stated"]


@pytest.mark.parametrize("arguments", [["--least", "0"], ["--threads", "0"]])
def test_wrong_options_end_in_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(tmp_path), *arguments]) == ConfigError.exit_code
    assert capsys.readouterr().err == "fedefm: --least and --threads: give 1 or more\n"


def test_a_page_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = site(tmp_path / "x", {"a": angiogram(1), "b": angiogram(2)})
    assert (
        main(["data", "check", str(folder), "--sheet", str(folder / "dataset.json/sheet.html")])
        == ConfigError.exit_code
    )
    assert capsys.readouterr().err.count("\n") == 1


def test_overlap_of_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = site(tmp_path / "one", {f"a{k}": angiogram(k) for k in range(5)})
    other = site(tmp_path / "other", {f"b{k}": angiogram(k + 3) for k in range(5)})
    assert main(["data", "overlap", str(one), str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"images": 5, "common": 2}
    assert main(["data", "overlap", str(one), str(other)]) == 0
    assert capsys.readouterr().out == f"2 of 5 images of {one} are in {other} as well\n"


def test_one_folder_as_two_hospitals_is_warned_of_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fedefm.commands.job_options import warn_of_same_pictures

    one = site(tmp_path / "one", {f"a{k}": angiogram(k) for k in range(5)})
    warn_of_same_pictures({"north": one, "south": one})
    assert "north and south share 5 image files" in capsys.readouterr().err
