import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import BETWEEN, Lost, Stage, Task, task_seed

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    stage, site, other = draw(st.sampled_from(Stage)), draw(NAMES), draw(NAMES)
    if other == site:
        other = site[:-1] + ("a" if site[-1] != "a" else "b")
    ends = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    return Task(
        stage,
        draw(st.integers(0, 10**6)),
        site,
        other if stage in BETWEEN else site,
        steps=draw(st.integers(0, 10**6)),
        progress=(ends[0], ends[1]),
        seed=draw(st.integers(0, 2**63 - 1)),
        teachers=draw(st.dictionaries(NAMES, st.lists(st.text(max_size=8), max_size=3).map(tuple), max_size=3)),
        reputation=draw(st.dictionaries(NAMES, st.floats(0, 1), max_size=3)),
    )


@given(tasks())
def test_a_task_survives_the_wire(task: Task) -> None:
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@given(tasks())
def test_ids_name_stage_round_visitor_and_host(task: Task) -> None:
    assert task.id.split("/") == [str(task.round), task.stage.value, f"{task.visitor}@{task.site}"]


@given(tasks(), st.data())
def test_a_mutated_task_is_read_as_sent_or_refused(task: Task, data: st.DataObject) -> None:
    plain: dict[str, Any] = task.to_dict()
    key = data.draw(st.sampled_from([*plain, "more"]))
    if data.draw(st.booleans()) and key in plain:
        del plain[key]
    else:
        plain[key] = data.draw(JSON)
    sent = copy.deepcopy(plain)
    try:
        found = Task.from_dict(plain)
    except ProtocolError as error:
        assert "\n" not in str(error)
    else:
        assert found.to_dict() == sent  # nothing was guessed, converted or dropped


@given(JSON)
def test_garbage_is_refused(garbage: Any) -> None:
    with pytest.raises(ProtocolError):
        Task.from_dict(garbage)


def nest(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress", [0, 10**400]),
        ("progress", "01"),
        ("progress", [float("nan"), 1.0]),
        ("progress", [0.5, 0.25]),
        ("round", -1),
        ("round", True),
        ("seed", 2**63),
        ("site", "../etc"),
        ("site", ""),
        ("site", "a" * 64),
        ("site", "oslo\n"),
        ("site", 5),
        ("site", nest(100_000)),
        ("visitor", "lima"),
        ("stage", "theft"),
        ("stage", "overseas"),
        ("stage", "assess"),
        ("reputation", {"oslo": 1.5}),
        ("reputation", {"oslo": float("nan")}),
        ("reputation", {"oslo": True}),
        ("reputation", {"a b": 1.0}),
        ("reputation", ["oslo"]),
        ("teachers", {"a b": []}),
        ("teachers", {"oslo": "catheter"}),
        ("teachers", [["oslo", []]]),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, list) else "list",
)
def test_a_wrong_field_is_refused(key: str, value: Any) -> None:
    plain = Task(Stage.LOCAL, 0, "oslo", "oslo").to_dict() | {key: value}
    with pytest.raises(ProtocolError) as caught:
        Task.from_dict(plain)
    assert "\n" not in str(caught.value)


def test_seeds_differ_wherever_the_place_differs() -> None:
    places = list(itertools.product((0, 1), Stage, range(3), ("a", "b", "ab"), ("a", "b", "ab")))
    seeds = {task_seed(job, stage, k, site, visitor) for job, stage, k, site, visitor in places}
    assert len(seeds) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_the_same_on_every_machine() -> None:
    """SHA-256 of the place's text, worked out with coreutils' sha256sum."""
    assert task_seed(7, Stage.OVERSEAS, 2, "oslo", "lima") == 0x65BB01D86C699569 >> 1


def test_only_an_overseas_loss_names_a_visitor() -> None:
    at_home, abroad = Task(Stage.DISTIL, 3, "oslo", "oslo"), Task(Stage.OVERSEAS, 3, "oslo", "lima")
    assert Lost.of(at_home, "late").to_dict() == {
        "site": "oslo", "round": 3, "stage": "distil", "reason": "late", "visitor": None,
    }  # fmt: skip
    assert json.loads(json.dumps(Lost.of(abroad, "late").to_dict()))["visitor"] == "lima"
