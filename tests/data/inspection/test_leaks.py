"""What a stated split parts is told, with the lines that mend it; and so is a picture with two masks."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fedefm.data.describe import describe_folder
from fedefm.data.inspection.leaks import contradictions, doubles, parted
from fedefm.data.inspection.whole import inspect_folder
from support.angiograms import angiogram, put, site
from support.dicom_files import dicom, text


def test_a_split_that_parts_a_run_is_told_and_the_offered_lines_mend_it(tmp_path: Path) -> None:
    stems = [f"ani_{k:03d}" for k in range(12)]
    splits = {"train": stems[:8], "val": stems[8:10], "test": stems[10:]}
    folder = site(tmp_path / "a", {s: angiogram(1, shift=k // 2) for k, s in enumerate(stems)}, splits=splits)
    summary = describe_folder(folder)
    assert any(
        "2 pairs of files are numbers that follow" in one or "lie in two splits" in one for one in summary.anomalies
    )
    assert all("ani_" not in one for one in summary.nameless)
    stated = json.loads((folder / "dataset.json").read_text()) | dict(summary.grouped.offer)
    (folder / "dataset.json").write_text(json.dumps(stated))
    assert parted(inspect_folder(folder)) == []
    assert describe_folder(folder).splits["train"] == 12


def test_what_dataset_json_states_well_is_left_in_peace(tmp_path: Path) -> None:
    names = {f"p{p}_{k}": angiogram(p, shift=k) for p in range(5) for k in range(3)}
    folder = site(tmp_path / "a", names, patients="^(?P<patient>p[0-9]+)_")
    summary = describe_folder(folder)
    assert summary.anomalies == () and summary.grouped.stated and not summary.grouped.offer
    assert "as dataset.json states" in str(summary)


def test_patients_in_headers_that_a_stated_split_parts(tmp_path: Path) -> None:
    folder = site(tmp_path / "a", {"c": angiogram(3)}, patients="^(?P<patient>.+)$")
    for k, stem in enumerate("ab"):
        tag = text(0x00100020, "LO", "Miller")
        (folder / f"images/{stem}.dcm").write_bytes(dicom(angiogram(k)[0].astype(np.uint16), 8, before=tag))
        Image.fromarray(angiogram(k)[1]).save(folder / f"masks/{stem}.png")
    inspection = inspect_folder(folder)
    split_of = inspection.split_of
    assert bool(parted(inspection)) == (split_of["a"] != split_of["b"])
    summary = describe_folder(folder)
    assert "Miller" not in json.dumps(summary.to_json()) + str(summary)


def test_one_picture_with_two_masks_copied_or_encoded_anew(tmp_path: Path) -> None:
    pictures = {f"a{20 * k}": angiogram(k, height=160, width=192) for k in range(4)}
    folder = site(tmp_path / "a", pictures)
    put(folder, "copy", pictures["a0"])
    put(folder, "empty", (pictures["a20"][0], np.zeros_like(pictures["a20"][1])))
    Image.fromarray(pictures["a40"][0]).save(folder / "images/again.jpg", quality=90)
    Image.fromarray(np.roll(pictures["a40"][1], 5, 0)).save(folder / "masks/again.png")
    inspection = inspect_folder(folder)
    assert sorted(contradictions(inspection)) == [("a20", "empty"), ("a40", "again")] or sorted(
        contradictions(inspection)
    ) == [("a20", "empty"), ("again", "a40")]
    assert doubles(inspection) == 3
    told = "\n".join(describe_folder(folder).anomalies)
    assert "2 pictures lie under two names with two masks" in told
    assert "1 pictures lie under two names with the same mask" in told


def test_frames_of_a_run_with_masks_of_their_own_contradict_nothing(tmp_path: Path) -> None:
    grey, mask = angiogram(1)
    noisy = {f"run1_f{k}": (grey + (np.indices(grey.shape).sum(0) % 7 == k), np.roll(mask, k, 0)) for k in range(5)}
    folder = site(tmp_path / "a", {stem: (g.astype(np.uint8), m) for stem, (g, m) in noisy.items()})
    assert contradictions(inspect_folder(folder)) == []
