"""What belongs together is one patient; what does not is split as by its name alone."""

from collections.abc import Mapping

import numpy as np
import pytest

from fedefm.data.grouping.groups import Facts, Link, Why, find_evidence, joined, patients_by, reasons
from fedefm.data.grouping.headers import NOBODY, Identity
from fedefm.data.grouping.looks import looks_of
from fedefm.data.manifest import Manifest
from support.angiograms import angiogram

CLASSES = {0: "background", 1: "guidewire"}
PLAIN = Manifest("here", CLASSES)


def facts(pictures: Mapping[str, np.ndarray], who: Mapping[str, Identity] | None = None) -> dict[str, Facts]:
    return {
        stem: Facts(looks_of(grey[None].astype(np.float32)), (who or {}).get(stem, NOBODY))
        for stem, grey in pictures.items()
    }


def groups(of: Mapping[str, Facts], manifest: Manifest = PLAIN) -> list[list[str]]:
    patient_of = patients_by(manifest, of, find_evidence(of).links)
    return sorted(sorted(s for s, p in patient_of.items() if p == patient) for patient in set(patient_of.values()))


def test_frames_of_a_run_that_are_counted_are_one_patient() -> None:
    run = {f"ani_{k:05d}": angiogram(0, shift=k // 2)[0] for k in range(20)}
    assert len(groups(facts(run))) == 1
    assert set(patients_by(PLAIN, run, find_evidence(facts(run)).links).values()) == {"ani_00000"}


def test_patients_that_are_counted_stay_apart_and_are_told_as_unsure() -> None:
    patients = {f"ani_{k:05d}": angiogram(k)[0] for k in range(20)}
    evidence = find_evidence(facts(patients))
    assert evidence.links == () and [run.stems[0] for run in evidence.unsure] == ["ani_00000"]
    assert patients_by(PLAIN, patients, ()) == {stem: stem for stem in patients}


def test_a_run_ends_where_the_scene_changes_or_numbers_are_far_apart() -> None:
    two = {f"{k}": angiogram(k // 10)[0] for k in range(20)}
    assert [len(one) for one in groups(facts(two))] == [10, 10]
    far = {f"v{k if k < 10 else k + 90}": angiogram(k // 10)[0] for k in range(20)}
    assert sorted(len(one) for one in groups(facts(far))) == [10, 10]


def test_words_in_names_group_pictures_that_are_not_alike() -> None:
    runs = {f"run{r}_f{k:03d}": angiogram(10 * r + k)[0] for r in (1, 2) for k in range(5)}
    assert [len(one) for one in groups(facts(runs))] == [5, 5]
    patients = {
        f"p{p:02d}_seq{q}_frame{k}": angiogram(100 + p * 9 + q)[0] for p in (1, 2) for q in (0, 1) for k in (0, 1)
    }
    assert [len(one) for one in groups(facts(patients))] == [4, 4]


def test_headers_are_believed_before_names() -> None:
    pictures = {f"run1_f{k}": angiogram(k)[0] for k in range(4)} | {"x": angiogram(9)[0]}
    who = {"run1_f0": Identity(b"1"), "run1_f1": Identity(b"2"), "run1_f2": Identity(b"2"), "x": Identity(b"1")}
    assert ["run1_f0", "run1_f3", "x"] not in groups(facts(pictures, {**who, "run1_f3": Identity(b"3")}))
    assert groups(facts(pictures, {**who, "run1_f3": Identity(b"3")})) == [
        ["run1_f0", "x"],
        ["run1_f1", "run1_f2"],
        ["run1_f3"],
    ]


def test_one_study_is_one_patient() -> None:
    pictures = {name: angiogram(k)[0] for k, name in enumerate("abc")}
    who = {"a": Identity(None, b"s"), "b": Identity(None, b"s")}
    assert groups(facts(pictures, who)) == [["a", "b"], ["c"]]


def test_the_same_picture_is_one_patient_whatever_headers_say() -> None:
    grey = angiogram(1)[0]
    who = {"a": Identity(b"1"), "b": Identity(b"2")}
    assert groups(facts({"a": grey, "b": grey, "c": angiogram(2)[0]}, who)) == [["a", "b"], ["c"]]


def test_what_is_stated_is_kept_as_it_stands() -> None:
    grey = angiogram(1)[0]
    both = facts({"a": grey, "b": grey})
    assert len(groups(both, Manifest("here", CLASSES, patients="^(?P<patient>.+)$"))) == 2
    assert len(groups(both, Manifest("here", CLASSES, patients={}))) == 2
    assert len(groups(both, Manifest("here", CLASSES, splits={"train": ("a",), "val": ("b",), "test": ()}))) == 2


def test_both_eyes_are_one_patient_as_before() -> None:
    eyes = {f"Image_{k:02d}{side}": angiogram(10 * k + ord(side))[0] for k in (1, 2, 3) for side in "LR"}
    assert set(patients_by(PLAIN, eyes, find_evidence(facts(eyes)).links).values()) == {
        "Image_01",
        "Image_02",
        "Image_03",
    }


def test_a_file_that_cannot_be_read_is_grouped_by_its_name_alone() -> None:
    of = {"run1_f1": Facts(None, NOBODY), **facts({"run1_f2": angiogram(1)[0]})}
    assert groups(of) == [["run1_f1", "run1_f2"]]


def test_joins_are_counted_by_what_is_believed_most() -> None:
    named = {stem: stem for stem in "abcd"}
    links = [Link("a", "b", Why.ALIKE), Link("a", "b", Why.PATIENT), Link("c", "a", Why.ALIKE), Link("d", "d", Why.RUN)]
    assert reasons(named, links) == {Why.PATIENT: 1, Why.ALIKE: 1}
    assert joined(named, links) == {"a": "a", "b": "a", "c": "a", "d": "d"}


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_links_does_not_matter(order: int) -> None:
    links = [Link(f"{k}", f"{k + 1}", Why.RUN) for k in range(9)][::order]
    assert set(joined({f"{k}": f"{k}" for k in range(10)}, links).values()) == {"0"}
