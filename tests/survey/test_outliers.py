from typing import Any

from fedefm.survey.outliers import remarks

CLASSES = ("catheter", "guidewire")
FRAMES = {"train": 40, "val": 8, "test": 8}


def told(**changes: Any) -> dict[str, Any]:
    plain = {
        "least": 5,
        "corpus": list(CLASSES),
        "test_corpus": list(CLASSES),
        "synthetic": False,
        "trains": True,
        "frames": FRAMES,
        "patients": 9,
        "cines": 0,
        "unreadable": 0,
        "formats": {"PNG": 56},
        "sizes": [{"columns": 512, "rows": 512, "files": 56}],
        "bits": [{"bits": 8, "files": 56}],
        "grey": {"dark": 0.1, "middle": 0.5, "bright": 0.9},
        "spacing_mm": {"median": 0.3, "files": 56},
        "classes": {name: {**FRAMES, "undecided": 0, "share": 0.02} for name in CLASSES},
        "others": 0,
        "respelled": 0,
    }
    return plain | changes


def texts(**summaries: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["site"], one["text"]) for one in remarks(summaries, CLASSES)]


def test_alike_hospitals_give_no_remark() -> None:
    assert texts(a=told(), b=told(), c=told()) == []


def test_each_thing_that_stands_out_is_told_of_its_hospital() -> None:
    odd = {
        "middle grey": told(grey={"dark": 0.1, "middle": 0.8, "bright": 0.9}),
        "millimetres": told(spacing_mm={"median": 0.9, "files": 9}),
        "side of its images": told(sizes=[{"columns": 2048, "rows": 2048, "files": 9}]),
        "number of training frames": told(frames={**FRAMES, "train": 0}),
        "training would stop": told(trains=False),
        "cannot be read": told(unreadable=None),
        "not among those": told(others=2),
        "spelled otherwise": told(respelled=1),
        "no training image holds it": told(classes={"catheter": {**FRAMES, "train": 0, "undecided": 0, "share": None}}),
    }
    for words, summary in odd.items():
        ((site, text),) = texts(a=told(), b=told(), c=summary, d=told())
        assert site == "c" and words in text


def test_classes_of_nobody_of_one_and_without_a_test_are_told() -> None:
    one, other = told(corpus=["catheter"], test_corpus=["catheter"]), told(corpus=[], test_corpus=["catheter"])
    found = texts(a=one, b=other)
    assert ("", "nobody labels guidewire: no model can learn it") in found
    assert any(site == "a" and "only one that labels catheter" in text for site, text in found)
    assert any(not site and "no test image shows how well guidewire" in text for site, text in found)


def test_what_is_held_back_is_no_outlier() -> None:
    nothing = told(
        grey=dict.fromkeys(("dark", "middle", "bright")), spacing_mm={"median": None, "files": None}, sizes=[], bits=[]
    )
    assert texts(a=told(), b=told(), c=nothing) == []
