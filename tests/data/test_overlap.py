"""The same pictures at two hospitals are found, in whatever format, and no others."""

from pathlib import Path

import numpy as np
from PIL import Image

from fedefm.data.overlap import Overlap, common_pictures, same_files, tokens_of
from support.angiograms import angiogram, put, site
from support.dicom_files import dicom

SIZES = {"height": 160, "width": 192}


def test_copies_in_another_format_are_counted_and_others_are_not(tmp_path: Path) -> None:
    north = site(tmp_path / "north", {f"n{k}": angiogram(k, **SIZES) for k in range(6)})
    south = site(tmp_path / "south", {f"s{k}": angiogram(50 + k, **SIZES) for k in range(4)})
    Image.fromarray(angiogram(1, **SIZES)[0]).save(south / "images/again.jpg", quality=85)
    (south / "images/cine.dcm").write_bytes(
        dicom(np.stack([16 * angiogram(k, **SIZES)[0].astype(np.uint16) for k in (70, 2, 71)]), 12)
    )
    (south / "images/bad.png").write_bytes(b"nothing")
    mine, theirs = tokens_of(north), tokens_of(south)
    assert len(theirs) == 6
    assert common_pictures(mine, theirs) == Overlap(6, 2)
    assert common_pictures(theirs, mine) == Overlap(6, 2)


def test_one_folder_as_two_hospitals_and_half_a_copy(tmp_path: Path) -> None:
    pictures = {f"n{k}": angiogram(k) for k in range(4)}
    north = site(tmp_path / "north", pictures)
    half = site(tmp_path / "half", {f"other{k}": pictures[f"n{k}"] for k in (0, 3)})
    west = site(tmp_path / "west", {"w": angiogram(9)})
    put(west, "w2", angiogram(10))
    found = same_files({"a": north, "b": north, "half": half, "west": west})
    assert found == {("a", "b"): 4, ("a", "half"): 2, ("b", "half"): 2}
