import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedefm.data.dataset import load_site
from fedefm.data.deidentify.silo import SAID, TEXT, Silo, prepare_silo
from fedefm.data.describe import describe_folder
from fedefm.data.folder import list_pairs
from fedefm.data.importers.collection import Options
from fedefm.data.manifest import load_manifest
from fedefm.data.readers import read_image, read_mask
from fedefm.errors import ConfigError, DataError
from fedefm.files import folder_sha256
from support.dicom_files import segmentation
from support.exports import PLANTED, frames, planted, save, turned, with_comment, write_text

NOTHING = Options()
WITH_MASKS = Options(images="img/*.dcm", masks="mask/*.png", classes={"1": "catheter"})


def export(folder: Path) -> Path:
    """Five good files of three patients, a cine among them, and six to hold back."""
    for k in range(5):
        grey = frames(k, 3 if k == 1 else 1, 96)
        save(planted(grey, k, mrn="MRN-88412" if k < 3 else f"MRN-{k}"), folder / "QUIXOTE" / str(k) / f"ALONSO{k}.dcm")
    save(planted(write_text(frames(9, 1, 160), "QUIXOTE A"), 9), folder / "IM9")
    save(planted(frames(10, 1, 96), 10, burned="YES"), folder / "IM10")
    shutil.copy(folder / "QUIXOTE" / "0" / "ALONSO0.dcm", folder / "copy of SANCHO")
    whole = (folder / "QUIXOTE" / "0" / "ALONSO0.dcm").read_bytes()
    (folder / "cut").write_bytes(whole[: len(whole) // 2])
    (folder / "report.pdf").write_bytes(b"%PDF of WINDMILL")
    (folder / "seg.dcm").write_bytes(segmentation(np.ones((1, 8, 8)), [1]))
    (folder / "DICOMDIR").write_bytes(b"passed over")
    return folder


def reasons(private: Path) -> dict[str, str]:
    lines = (private / "held-back.csv").read_text().splitlines()[1:]
    return {file: reason for file, _, reason in (line.partition(",") for line in lines)}


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {path: path.stat() for path in folder.rglob("*")}
    return {str(p): (s.st_mtime_ns, s.st_mode, p.read_bytes() if p.is_file() else b"") for p, s in found.items()}


def test_good_files_are_taken_and_each_other_one_has_its_reason(tmp_path: Path) -> None:
    source = export(tmp_path / "src")
    silo = prepare_silo(source, tmp_path / "dst", NOTHING)
    assert silo == Silo(labelled=0, unlabelled=5, frames=7, patients=3, held_back=6, text=2, before=0)
    why = reasons(tmp_path / "dst-private")
    assert why["IM9"] == TEXT and why["IM10"] == SAID
    assert why["copy of SANCHO"] == "the same bytes as QUIXOTE/0/ALONSO0.dcm; keep one of them"
    assert "truncated" in why["cut"] and "of no format" in why["report.pdf"] and "segmentation" in why["seg.dcm"]


def test_the_source_is_not_touched(tmp_path: Path) -> None:
    source = export(tmp_path / "src")
    before = snapshot(source)
    prepare_silo(source, tmp_path / "dst", NOTHING)
    assert snapshot(source) == before


def test_nothing_planted_leaves_and_all_of_it_is_for_the_hospital_alone(tmp_path: Path) -> None:
    prepare_silo(export(tmp_path / "src"), tmp_path / "dst", NOTHING)
    for path in (tmp_path / "dst").rglob("*"):
        told = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        assert not [word for word in PLANTED if word.encode() in told], path.name
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*(tmp_path / "dst-private").rglob("*")])
    page = (tmp_path / "dst-private" / "text.html").read_text()
    assert "IM9" in page and "data:image/png;base64," in page and "http" not in page


def test_a_person_who_saw_the_page_takes_what_is_harmless(tmp_path: Path) -> None:
    source = export(tmp_path / "src")
    first = prepare_silo(source, tmp_path / "one", NOTHING, private=tmp_path / "own")
    second = prepare_silo(source, tmp_path / "two", NOTHING, private=tmp_path / "own", accept_text=True)
    assert (second.unlabelled, second.held_back) == (first.unlabelled + 2, first.held_back - 2)
    names = {path.name for path in (tmp_path / "one" / "unlabelled").iterdir()}
    assert names < {path.name for path in (tmp_path / "two" / "unlabelled").iterdir()}  # the same salt, the same names


def with_masks(folder: Path) -> Path:
    for k in range(8):
        save(planted(frames(k, 1, 96), k, mrn=f"MRN-{k}"), folder / "img" / f"ALONSO{k}.dcm")
        mask = np.zeros((96, 96), np.uint8)
        mask[40:50, k : k + 9] = 1
        (folder / "mask").mkdir(exist_ok=True)
        if k < 6:
            Image.fromarray(mask).save(folder / "mask" / f"ALONSO{k}.png", comment="QUIXOTE")
    Image.fromarray(mask).save(folder / "mask" / "nobody.png")
    return folder


def test_masks_go_with_their_images_and_the_silo_trains(tmp_path: Path) -> None:
    silo = prepare_silo(with_masks(tmp_path / "src"), tmp_path / "dst", WITH_MASKS)
    assert (silo.labelled, silo.unlabelled, silo.patients, silo.held_back) == (6, 2, 8, 1)
    assert "without an image" in reasons(tmp_path / "dst-private")["mask/nobody.png"]
    summary = describe_folder(tmp_path / "dst")
    assert (summary.frames, summary.patients, summary.stops) == (6, 6, ())
    assert [one.name for one in summary.mask_values] == ["background", "catheter"]
    data = load_site(tmp_path / "dst", ["catheter"], 32)
    assert len(data.train) + len(data.val) + len(data.test) == 6


def test_a_mask_that_does_not_fit_holds_its_image_back(tmp_path: Path) -> None:
    source = with_masks(tmp_path / "src")
    Image.fromarray(np.ones((9, 9), np.uint8)).save(source / "mask" / "ALONSO0.png")
    Image.fromarray(np.full((96, 96), 7, np.uint8)).save(source / "mask" / "ALONSO1.png")
    silo = prepare_silo(source, tmp_path / "dst", WITH_MASKS)
    why = reasons(tmp_path / "dst-private")
    assert silo.labelled == 4 and "another size" in why["img/ALONSO0.dcm"] and "value 7" in why["img/ALONSO1.dcm"]


def test_cines_with_masks_of_all_frames(tmp_path: Path) -> None:
    save(planted(frames(1, 3, 64)), tmp_path / "src" / "img" / "a.dcm")
    (tmp_path / "src" / "mask").mkdir()
    pages = [Image.fromarray(np.full((64, 64), k == 1, np.uint8)) for k in range(3)]
    pages[0].save(tmp_path / "src" / "mask" / "a.tif", save_all=True, append_images=pages[1:])
    options = Options(images="img/*.dcm", masks="mask/*.tif", classes={"1": "catheter"})
    prepare_silo(tmp_path / "src", tmp_path / "dst", options)
    summary = describe_folder(tmp_path / "dst")
    assert [(one.value, one.frames) for one in summary.mask_values] == [(0, 2), (1, 1)]


def test_a_mask_stored_from_another_corner_lies_on_its_image(tmp_path: Path) -> None:
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[0, 10:14, 2:20] = 1
    save(planted(frames(1, 1, 64)), tmp_path / "src" / "img" / "a.dcm")
    turned(labels, tmp_path / "src" / "mask" / "a.nii.gz")
    options = Options(images="img/*.dcm", masks="mask/*.nii.gz", classes={"1": "catheter"})
    prepare_silo(tmp_path / "src", tmp_path / "dst", options)
    (pair,) = list_pairs(tmp_path / "dst")
    assert (read_mask(pair.mask, pair.image) == labels).all()


def test_pictures_that_a_person_names_lose_all_but_their_pixels(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    grey = (frames(3)[0] >> 4).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "src" / "QUIXOTE.jpg", comment=b"SANCHO", quality=100)
    with pytest.raises(DataError, match=r"held-back\.csv"):
        prepare_silo(tmp_path / "src", tmp_path / "dst", NOTHING)
    prepare_silo(tmp_path / "src", tmp_path / "two", Options(images="*.jpg"))
    (path,) = (tmp_path / "two" / "unlabelled").iterdir()
    assert path.suffix == ".png" and b"SANCHO" not in path.read_bytes()
    np.testing.assert_array_equal(
        np.asarray(Image.open(path)), np.asarray(Image.open(tmp_path / "src" / "QUIXOTE.jpg"))
    )


def test_a_killed_process_goes_on_where_it_stopped_and_ends_with_the_same_folder(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for k in range(30):
        save(planted(frames(k, 2, 200), k, mrn=f"MRN-{k % 7}"), source / f"{k:02}.dcm")
    command = [sys.executable, "-m", "fedefm.cli", "data", "prepare", str(source), str(tmp_path / "dst")]
    journal = tmp_path / "dst-private" / "dst.journal"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b'"file"') > 5) and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "dst").exists()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / ".dst.preparing" / "unlabelled").iterdir()}
    (tmp_path / ".dst.preparing" / ".part-1").write_bytes(b"half a file")
    silo = prepare_silo(source, tmp_path / "dst", NOTHING)
    assert 5 < silo.before < 30 and silo.unlabelled == 30
    again = sum((tmp_path / "dst" / "unlabelled" / p.name).stat().st_mtime_ns != when for p, when in done.items())
    assert again <= 1  # the file that was written and not yet in the journal
    (tmp_path / "own").mkdir()
    shutil.copy(tmp_path / "dst-private" / "salt", tmp_path / "own" / "salt")
    prepare_silo(source, tmp_path / "in one go" / "dst", NOTHING, private=tmp_path / "own")
    assert folder_sha256(tmp_path / "dst") == folder_sha256(tmp_path / "in one go" / "dst")
    assert not (tmp_path / ".dst.preparing").exists()


def test_a_name_that_is_left_in_a_file_holds_it_back(tmp_path: Path) -> None:
    save(with_comment(planted(frames(0, 1, 96)), b"quality 75", b"seen by QUIXOTE"), tmp_path / "src" / "a.dcm")
    save(with_comment(planted(frames(1, 1, 96)), b"seen by QUIXOTE"), tmp_path / "src" / "b.dcm")
    assert prepare_silo(tmp_path / "src", tmp_path / "dst", NOTHING).held_back == 1
    assert "elsewhere in it too" in reasons(tmp_path / "dst-private")["a.dcm"]


def test_an_expression_for_patients_that_does_not_fit_a_name_holds_that_file_back(tmp_path: Path) -> None:
    for name in ("p1_QUIXOTE", "p2_QUIXOTE", "QUIXOTE"):
        (tmp_path / "src").mkdir(exist_ok=True)
        Image.fromarray((frames(len(name) + ord(name[1]))[0] >> 4).astype(np.uint8)).save(
            tmp_path / "src" / f"{name}.png"
        )
    silo = prepare_silo(tmp_path / "src", tmp_path / "dst", Options(images="*.png", patients="^(?P<patient>p[0-9])_"))
    assert (silo.unlabelled, silo.patients, silo.held_back) == (2, 2, 1)


def test_places_that_lie_within_each_other_are_refused(tmp_path: Path) -> None:
    source = export(tmp_path / "src")
    with pytest.raises(ConfigError, match="never changed"):
        prepare_silo(source, source / "dst", NOTHING)
    with pytest.raises(ConfigError, match="holds names and the salt"):
        prepare_silo(source, tmp_path / "dst", NOTHING, private=tmp_path / "dst" / "own")
    assert not (tmp_path / "dst").exists()


def test_a_silo_without_masks_says_at_the_check_what_comes_next(tmp_path: Path) -> None:
    prepare_silo(export(tmp_path / "src"), tmp_path / "dst", NOTHING)
    with pytest.raises(DataError, match="annotate unlabelled/, or draw on it: fedefm data synth --background"):
        describe_folder(tmp_path / "dst")


def test_patients_are_found_again_in_the_new_names(tmp_path: Path) -> None:
    prepare_silo(export(tmp_path / "src"), tmp_path / "dst", NOTHING)
    manifest = load_manifest(tmp_path / "dst")
    stems = [path.stem for path in (tmp_path / "dst" / "unlabelled").iterdir()]
    assert len({manifest.patient_of(stem) for stem in stems}) == 3
    names = json.loads(next((tmp_path / "dst-private").glob("*.names")).read_text().splitlines()[0])
    assert names["source"] == os.fspath(tmp_path / "src")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
def test_a_picture_that_a_camera_turned_is_written_upright_as_its_mask_lies(tmp_path: Path, ending: str) -> None:
    (tmp_path / "src" / "img").mkdir(parents=True)
    (tmp_path / "src" / "mask").mkdir()
    bright = np.zeros((48, 64), np.uint8)
    bright[5:20, 10:50] = 200
    for corner in (2, 3, 6):
        said = Image.Exif()
        said[0x0112], said[0x010E] = corner, "DON^QUIXOTE"
        Image.fromarray(bright).save(tmp_path / "src" / "img" / f"{corner}{ending}", exif=said, quality=100)
        upright = read_image(tmp_path / "src" / "img" / f"{corner}{ending}").frames[0] > 100
        Image.fromarray(upright.astype(np.uint8)).save(tmp_path / "src" / "mask" / f"{corner}.png")
    options = Options(images=f"img/*{ending}", masks="mask/*.png", classes={"1": "catheter"})
    assert prepare_silo(tmp_path / "src", tmp_path / "dst", options, accept_text=True).labelled == 3
    for image in (tmp_path / "dst" / "images").iterdir():
        mask = read_mask(tmp_path / "dst" / "masks" / image.name)[0]
        np.testing.assert_array_equal(read_image(image).frames[0] > 100, mask == 1)
        assert b"QUIXOTE" not in image.read_bytes()


def test_values_that_a_png_does_not_hold_are_held_back(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    Image.fromarray(np.full((48, 64), -7, np.int32)).save(tmp_path / "src" / "a.tif")
    with pytest.raises(DataError, match="nothing can be used"):
        prepare_silo(tmp_path / "src", tmp_path / "dst", Options(images="*.tif"))
    assert "values below 0" in reasons(tmp_path / "dst-private")["a.tif"]


def test_patterns_that_pair_nothing_are_told_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "src" / "QUIXOTE").mkdir(parents=True)
    save(planted(frames(0, 3, 96), 0), tmp_path / "src" / "QUIXOTE" / "IM1.dcm")
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(tmp_path / "src" / "QUIXOTE" / "IM1_frame0001_seg.png")
    options = Options(images="*/*.dcm", masks="*/*_seg.png", classes={"1": "catheter"})
    with pytest.raises(DataError, match=r"no image has a mask.*save them as one stack") as caught:
        prepare_silo(tmp_path / "src", tmp_path / "dst", options)
    assert "QUIXOTE" not in str(caught.value)
