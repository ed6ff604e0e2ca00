"""Headers tell patients apart, and nothing of them can be read afterwards."""

from pathlib import Path

import numpy as np
import pytest

from fedefm.data.grouping.headers import NOBODY, identity_of
from support.dicom_files import dicom, text

PIXELS = np.arange(320, dtype=np.uint16).reshape(16, 20)


def saved(path: Path, patient: str, study: str = "1.2.3") -> Path:
    path.write_bytes(dicom(PIXELS, before=text(0x00100020, "LO", patient) + text(0x0020000D, "UI", study)))
    return path


def test_the_same_patient_has_the_same_hash_and_the_salt_changes_it(tmp_path: Path) -> None:
    one, same, other = (saved(tmp_path / f"{k}.dcm", name) for k, name in enumerate(("Miller7", " miller7 ", "Smith8")))
    first = identity_of(one, b"salt")
    assert first == identity_of(same, b"salt") != identity_of(other, b"salt")
    assert first.patient != identity_of(one, b"another").patient
    assert first.patient is not None and b"iller" not in first.patient and first.study is not None
    assert "iller" not in repr(first)


@pytest.mark.parametrize("name", ["", "ANONYMOUS", "anon123", "0000", "Unknown", "N/A"])
def test_what_tools_write_for_everybody_is_nobody(name: str, tmp_path: Path) -> None:
    assert identity_of(saved(tmp_path / "a.dcm", name, ""), b"salt") == NOBODY


def test_other_formats_say_nothing(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "a.png")
    assert identity_of(tmp_path / "a.png", b"salt") == NOBODY
