import dataclasses
import json
import pickle
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import PositiveInt

from fedefm.errors import ConfigError
from fedefm.settings import ClassNames, JobId, JsonSettings, PositiveShare, Share, build, load, one_of, settings_class


@dataclasses.dataclass(frozen=True)
class Plain:
    """A dataclass that knows nothing of settings, as the exchange's schedule."""

    rounds: int = 8
    mixing: float = 1.0


@settings_class
class Part:
    steps: PositiveInt = 4
    share: Share = 1.0
    kind: Annotated[str, one_of(("soft", "hard"))] = "soft"

    def __post_init__(self) -> None:
        if self.kind == "hard" and self.share < 1:
            raise ConfigError("hard needs a share of 1")


@settings_class
class Whole(JsonSettings):
    classes: ClassNames
    labels: PositiveShare = 1.0
    part: Part = field(default_factory=Part)
    plain: Plain = field(default_factory=Plain)
    jobs: tuple[JobId, ...] = ()
    place: Path = Path("here")


@pytest.mark.parametrize(
    ("plain", "line"),
    [
        ([], "file: must be an object with named values, not []"),
        ({}, "file: classes is missing"),
        ({"clases": ["a"]}, "file: 'clases' is unknown; did you mean 'classes'?"),
        ({"classes": ["a"], "x\ny": 1}, "file: 'x\\ny' is unknown"),
        ({"classes": "a"}, "file: classes must be of type list, not 'a'"),
        ({"classes": ["a", 5]}, "file: classes.1 must be of type str, not 5"),
        ({"classes": ["a", "a"]}, "file: classes must name each foreground class once; background is implied"),
        ({"classes": ["a"], "labels": 0}, "file: labels must be above 0, not 0"),
        ({"classes": ["a"], "labels": 1.5}, "file: labels must be at most 1, not 1.5"),
        ({"classes": ["a"], "labels": float("nan")}, "file: labels must be of type float and finite, not nan"),
        ({"classes": ["a"], "part": 3}, "file: part: must be an object with named values, not 3"),
        ({"classes": ["a"], "part": {"step": 3}}, "file: part: 'step' is unknown; did you mean 'steps'?"),
        ({"classes": ["a"], "part": {"steps": True}}, "file: part: steps must be of type int, not True"),
        ({"classes": ["a"], "part": {"steps": -1}}, "file: part: steps must be above 0, not -1"),
        ({"classes": ["a"], "part": {"kind": "odd"}}, "file: part: kind 'odd' is unknown; choose one of soft, hard"),
        ({"classes": ["a"], "part": {"kind": "hard", "share": 0.5}}, "file: hard needs a share of 1"),
        ({"classes": ["a"], "plain": {"round": 3}}, "file: plain: 'round' is unknown; did you mean 'rounds'?"),
        ({"classes": ["a"], "plain": {"rounds": "3"}}, "file: plain: rounds must be of type int, not '3'"),
        ({"classes": ["a"], "plain": {"mixing": float("inf")}}, "file: plain: mixing must be of type float and finite"),
        ({"classes": ["a"], "jobs": ["../x"]}, "file: '../x': not the id of a job"),
        ({"classes": ["a"], "place": 5}, "file: place must be of type str, not 5"),
        ({"classes": {1, 2}}, "file: Object of type set is not JSON"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(plain: Any, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Whole, plain, "file")
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"steps": 0}, "steps must be above 0, not 0"),
        ({"steps": "4"}, "steps must be of type int, not '4'"),
        ({"share": float("nan")}, "share must be of type float and finite, not nan"),
        ({"stepps": 4}, "'stepps' is unknown; did you mean 'steps'?"),
        ({"kind": "hard", "share": 0.5}, "hard needs a share of 1"),
    ],
    ids=str,
)
def test_a_value_made_in_code_is_checked_too(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line.replace('?', '[?]')}$"):
        Part(**values)
    with pytest.raises(ConfigError):
        dataclasses.replace(Part(), **values)


def test_it_is_a_dataclass_like_any_other() -> None:
    part = Part(2, 0, kind="soft")
    assert part == Part(steps=2, share=0.0) and isinstance(part.share, float)
    assert dataclasses.asdict(part) == {"steps": 2, "share": 0.0, "kind": "soft"}
    assert dataclasses.replace(part, steps=4) == Part(share=0.0) and hash(part) == hash(Part(2, 0.0))
    assert pickle.loads(pickle.dumps(part)) == part
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.steps = 3  # type: ignore[misc]


def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    path.write_text(json.dumps({"classes": ["a"], "part": {"steps": 9}, "plain": {"mixing": 0}, "place": "there"}))
    assert load(Whole, path) == Whole(("a",), part=Part(9), plain=Plain(mixing=0.0), place=Path("there"))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"labels": ' + b"9" * 5000 + b"}"])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "whole.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(Whole, path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read"):
        load(Whole, tmp_path / "none.json")
