import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from fedefm.data.deidentify import header
from fedefm.data.deidentify.secret import Secret
from fedefm.data.readers import read_image
from support.exports import PLANTED, frames, planted, save, with_comment

SECRET = Secret(bytes(32))


def cleaned(dataset: Dataset, folder: Path) -> Path:
    path = save(dataset, folder / "in.dcm")
    read = header.read_dataset(path)
    header.clean(read, SECRET, "new")
    header.write(read, folder / "out.dcm")
    return folder / "out.dcm"


def test_nothing_planted_is_left_at_any_depth(tmp_path: Path) -> None:
    content = cleaned(planted(frames(0)), tmp_path).read_bytes()
    assert all(word.encode() in (tmp_path / "in.dcm").read_bytes() for word in PLANTED)
    assert not [word for word in PLANTED if word.encode() in content]
    assert content[:128] == bytes(128)


def test_no_private_attribute_overlay_or_free_text_stays(tmp_path: Path) -> None:
    dataset = planted(frames(0))
    dataset.add_new(0x00189999, "LT", "text of an attribute that no table knows")
    written = pydicom.dcmread(cleaned(dataset, tmp_path))
    every = [element.tag for element in written.iterall()]
    assert not [tag for tag in every if tag.is_private or tag.group >> 8 in (0x50, 0x60)]
    assert 0x00189999 not in written and "SourceImageSequence" not in written
    assert written.Manufacturer == "Maker" and written.ViewCodeSequence[0].CodeMeaning == "lateral"


def test_pixels_grid_and_spacing_stay(tmp_path: Path) -> None:
    grey = frames(1, count=3)
    image = read_image(cleaned(planted(grey), tmp_path))
    np.testing.assert_array_equal(image.frames, grey)
    assert image.spacing_mm == (0.3, 0.3)


def test_uids_are_new_the_same_everywhere_and_other_ones_with_another_salt(tmp_path: Path) -> None:
    first, second = (pydicom.dcmread(cleaned(planted(frames(0), k), tmp_path)) for k in (1, 2))
    assert first.StudyInstanceUID == second.StudyInstanceUID != planted(frames(0)).StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID == second.file_meta.MediaStorageSOPInstanceUID
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", first.SOPInstanceUID)
    assert first.SOPClassUID == planted(frames(0)).SOPClassUID
    assert Secret(bytes(31) + b"x").uid("1.2.3") != SECRET.uid("1.2.3")


def test_it_says_that_and_how_it_was_cleaned(tmp_path: Path) -> None:
    written = pydicom.dcmread(cleaned(planted(frames(0)), tmp_path))
    assert (written.PatientID, written.PatientName, written.PatientIdentityRemoved) == ("new", "new", "YES")
    assert written.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert len(written.DeidentificationMethod) <= 64


def test_a_comment_of_a_jpeg_is_blank_and_a_name_behind_it_is_found(tmp_path: Path) -> None:
    def compressed(comment: bytes, behind: bytes) -> Path:
        return cleaned(with_comment(planted(frames(0)), comment, behind), tmp_path)

    telling = header.identifiers_of(planted(frames(0)))
    assert header.left_over(compressed(b"quality 75", b"seen by QUIXOTE"), telling)
    assert not header.left_over(compressed(b"seen by QUIXOTE", b"nothing to say"), telling)


def test_who_it_is_comes_from_id_then_name_then_study() -> None:
    dataset = planted(frames(0))
    assert header.patient_of(dataset) == "id\0MRN-88412\0"
    del dataset.PatientID
    assert header.patient_of(dataset) == "name\0QUIXOTE^ALONSO\x0019470523"
    del dataset.PatientName
    assert header.patient_of(dataset).startswith("study\0")
    del dataset.StudyInstanceUID
    assert header.patient_of(dataset) is None


def test_what_cannot_be_taken_apart_is_told_without_its_values(tmp_path: Path) -> None:
    (tmp_path / "QUIXOTE").write_bytes(b"\0" * 128 + b"DICM" + b"QUIXOTE" * 40)
    with pytest.raises(header.DataError, match="header") as caught:
        dataset = header.read_dataset(tmp_path / "QUIXOTE")
        header.clean(dataset, SECRET, "new")
    assert "QUIXOTEQ" not in str(caught.value)
