"""What may leave says nothing of few images, and nothing by name."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.survey.inspection import inspect_folder
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.report.permitted import SPLIT_NAMES, _held, permitted
from support.angiograms import angiogram, put, site

COUNTS = st.fixed_dictionaries({split: st.integers(0, 30) for split in SPLIT_NAMES})


@given(COUNTS, st.integers(1, 8))
def test_no_count_is_small_and_none_can_be_had_from_the_sum(counts: dict[str, int], least: int) -> None:
    shown = _held(counts, least)
    assert all(shown[split] in (counts[split], None) for split in counts)
    assert all(value is None or value == 0 or value >= least for value in shown.values())
    hidden = sum(counts[split] for split, value in shown.items() if value is None)
    told = [split for split, value in shown.items() if value]
    assert hidden == 0 or hidden >= least or not told


def test_the_figures_are_those_of_the_folder(tmp_path: Path) -> None:
    folder = site(tmp_path / "here", {f"x{20 * k}": angiogram(k) for k in range(40)})
    plain = permitted(inspect_folder(folder), LEAST_IMAGES)
    assert plain["frames"] == {"train": 24, "val": 6, "test": 10} == plain["patients"]
    assert plain["classes"]["guidewire"]["frames"] == plain["frames"]
    assert plain["sizes"] == {"96 x 80": 40} and plain["formats"] == {"PNG": 40} and plain["bits"] == {"8": 40}
    area = np.mean([(angiogram(k)[1] == 2).mean() for k in range(40)])
    assert abs(plain["classes"]["catheter"]["share_of_frame"]["percentile_50"] - area) < 0.1 * area
    assert plain["spacing_mm"] is None and plain["unreadable"] == 0
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_few_of_anything_are_held_back(tmp_path: Path) -> None:
    folder = site(tmp_path / "here", {f"x{20 * k}": angiogram(k) for k in range(40)})
    put(folder, "odd", angiogram(99, height=100))
    (folder / "images/bad.png").write_bytes(b"nothing")
    (folder / "masks/bad.png").write_bytes(b"nothing")
    plain = permitted(inspect_folder(folder), LEAST_IMAGES)
    assert plain["sizes"] == {}  # 40 of 41 would tell that one is odd
    assert plain["unreadable"] is None
    small = site(tmp_path / "small", {f"x{20 * k}": angiogram(k) for k in range(4)})
    plain = permitted(inspect_folder(small), LEAST_IMAGES)
    assert plain["grey"]["median"] is None and plain["classes"]["guidewire"]["share_of_frame"] is None
    assert {*plain["frames"].values(), *plain["patients"].values()} <= {None, 0}


def test_classes_that_are_named_after_the_folder_are_not_told(tmp_path: Path) -> None:
    folder = site(tmp_path / "Miller-1970", {f"x{20 * k}": angiogram(k) for k in range(8)})
    (folder / "dataset.json").unlink()
    plain = permitted(inspect_folder(folder), LEAST_IMAGES)
    assert "Miller" not in json.dumps(plain) and set(plain["classes"]) == {"value 1", "value 2"}
