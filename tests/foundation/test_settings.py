import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.exchange.methods import REGISTRY
from fedefm.exchange.schedule import ORDERS, Schedule
from fedefm.foundation.settings import WEIGHTINGS, Baseline, Distillation, Settings, load_settings
from fedefm.models.precision import PRECISIONS
from fedefm.models.spec import ModelSpec
from fedefm.training.augment import ORIENTATIONS
from fedefm.training.optimisation import Optimisation

PLAIN = Settings(("catheter", "vessel")).to_dict()
COUNT, SHARE, AMOUNT = st.integers(1, 500), st.floats(0, 1), st.floats(1e-6, 100)
PLAIN_NAME = st.text(st.characters(exclude_characters=":/\\", codec="utf-8"), max_size=9)  # no address, no path
VALUES = {
    Schedule: {
        "method": st.sampled_from(tuple(REGISTRY)), "rounds": COUNT, "local_steps": COUNT, "overseas_steps": COUNT,
        "distil_steps": COUNT, "theta_mixing": SHARE, "server_rate": st.floats(0.1, 4), "min_sites": COUNT,
        "max_misses": COUNT, "weigh_by_images": st.booleans(), "compare_lone": st.booleans(),
        "seed": st.integers(0, 2**40), "order": st.sampled_from(ORDERS), "groups": COUNT, "reputation_limit": SHARE,
    },
    Optimisation: {
        "batch_size": COUNT, "learning_rate": AMOUNT, "weight_decay": SHARE, "warmup_steps": COUNT, "augment": SHARE,
        "accumulate": COUNT, "orientation": st.sampled_from(ORIENTATIONS), "precision": st.sampled_from(PRECISIONS),
        "channels_last": st.booleans(),
    },
    Distillation: {
        "temperature": AMOUNT, "beta": SHARE, "weighting": st.sampled_from(WEIGHTINGS), "tau": AMOUNT,
        "constant": AMOUNT,
        "feature_level": st.integers(-4, 4), "class_aware": st.booleans(), "condition_on_labels": st.booleans(),
        "negatives": SHARE, "static_limit": st.floats(0.01, 1), "paper_exact": st.booleans(),
        "differentiate_emd": SHARE, "average_experts": st.booleans(),
    },
    Baseline: {
        "proximal": SHARE, "contrast": SHARE, "contrast_temperature": AMOUNT, "conditional": SHARE,
        "conditional_temperature": AMOUNT,
    },
    ModelSpec: {
        "architecture": st.text(max_size=9), "encoder": PLAIN_NAME, "pretrained": st.none() | st.text(),
        "options": st.dictionaries(st.sampled_from(["encoder_depth", "drop"]), st.integers(-99, 16384)),
    },
}  # fmt: skip


def any_of(cls: Any) -> st.SearchStrategy[Any]:
    return st.builds(dict, **{}, **VALUES[cls]).map(lambda values: (cls, values))


@settings(max_examples=50, deadline=None)
@given(
    any_of(Schedule), any_of(Optimisation), any_of(Distillation), any_of(ModelSpec), any_of(Baseline), st.integers(1, 9)
)
def test_settings_survive_json(
    schedule: Any, optimisation: Any, distillation: Any, model: Any, baseline: Any, size: int
) -> None:
    parts = [cls(**values) for cls, values in (schedule, optimisation, distillation, model, baseline)]
    job = Settings(
        ("a", "b"), name="x", size=32 * size, topology="ring", schedule=parts[0], optimisation=parts[1],
        distillation=parts[2], model=parts[3], baseline=parts[4], stage_timeout=5,
    )  # fmt: skip
    assert Settings.from_dict(json.loads(json.dumps(job.to_dict()))) == job


def test_every_setting_is_varied_above() -> None:
    """So that a setting added later is not left out of the round trip."""
    for cls, values in VALUES.items():
        assert {field.name for field in dataclasses.fields(cls)} == set(values)


def with_value(path: str, value: Any) -> dict[str, Any]:
    plain = json.loads(json.dumps(PLAIN))
    *outer, key = path.split(".")
    inner = plain
    for name in outer:
        inner = inner[name]
    inner[key] = value
    return plain


def test_an_unknown_method_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "foundation.json"
    path.write_text(json.dumps(with_value("schedule.method", "fedbest")))
    with pytest.raises(ConfigError, match=r"foundation\.json: method 'fedbest' is unknown; choose one of fed") as told:
        load_settings(path)
    assert "\n" not in str(told.value)


def leaves(plain: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in plain.items():
        nested = isinstance(value, dict) and key != "options"
        found += leaves(value, f"{prefix}{key}.") if nested else [(prefix + key, value)]
    return found


WRONG = {
    int: ["5", 1.5, True, None, [1], {}],
    float: ["5", True, None, [1.0], float("nan"), float("inf"), -float("inf"), 10**400],
    str: [5, True, None, ["a"], {}],
    bool: ["true", 1, None],
    list: ["catheter", 5, None, [5], {"a": 1}],
    dict: ["x", 5, None, [["encoder_depth", 4]]],
    type(None): [5, True, ["imagenet"]],
}


@pytest.mark.parametrize(("path", "value"), leaves(PLAIN), ids=lambda value: str(value)[:30])
def test_an_ill_typed_value_is_named(path: str, value: Any) -> None:
    for wrong in WRONG[type(value)]:
        with pytest.raises(ConfigError) as caught:
            Settings.from_dict(with_value(path, wrong))
        message = str(caught.value)
        assert path.split(".")[-1] in message and "must be of type" in message and "\n" not in message


@pytest.mark.parametrize("section", ["schedule", "model", "optimisation", "distillation"])
@pytest.mark.parametrize("value", [None, 5, "fedefm", [1]])
def test_a_section_that_is_no_object_is_named(section: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{section}: must be an object"):
        Settings.from_dict(with_value(section, value))


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("clases", "classes"),
        ("schedule.round", "rounds"),
        ("schedule.min_site", "min_sites"),
        ("model.encodr", "encoder"),
        ("optimisation.learningrate", "learning_rate"),
        ("distillation.temprature", "temperature"),
    ],
)
def test_an_unknown_key_gets_the_nearest_known_one(path: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"'{path.split('.')[-1]}' is unknown; did you mean '{near}'") as caught:
        Settings.from_dict(with_value(path, 1))
    assert "\n" not in str(caught.value)


def test_a_key_like_no_other_is_only_refused() -> None:
    with pytest.raises(ConfigError, match=r"'zzzzzz' is unknown$"):
        Settings.from_dict(PLAIN | {"zzzzzz": 1})


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("classes", [], "classes"),
        ("classes", ["a", "a"], "classes"),
        ("classes", ["background"], "classes"),
        ("size", 0, "size"),
        ("size", 100, "size"),
        ("stage_timeout", 0, "stage_timeout"),
        ("schedule.rounds", 0, "rounds"),
        ("optimisation.batch_size", 0, "batch_size"),
        ("optimisation.learning_rate", 0, "learning_rate"),
        ("optimisation.weight_decay", -1, "weight_decay"),
        ("optimisation.augment", 1.1, "augment"),
        ("distillation.temperature", 0, "temperature"),
        ("distillation.negatives", -0.1, "negatives"),
        ("distillation.negatives", 1.1, "negatives"),
        ("distillation.static_limit", 0.0, "static_limit"),
        ("distillation.static_limit", 1.1, "static_limit"),
        ("schedule.order", "random", "parallel, sequential"),
        ("distillation.tau", -1, "tau"),
        ("distillation.beta", 1.01, "beta"),
        ("distillation.weighting", "best", "best"),
        ("distillation.differentiate_emd", -0.1, "differentiate_emd"),
    ],
)
def test_a_value_out_of_range_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        Settings.from_dict(with_value(path, value))
    assert "\n" not in str(caught.value)


def test_without_classes_there_is_no_job() -> None:
    with pytest.raises(ConfigError, match="classes"):
        Settings.from_dict({})


def test_the_paper_to_the_letter_overrides_what_goes_beyond_it() -> None:
    chosen = Distillation(paper_exact=True, weighting="regional", negatives=0.2, static_limit=0.25)
    assert not (chosen.class_aware or chosen.condition_on_labels or chosen.average_experts)
    assert chosen.weighting == "emd" and chosen.negatives == 1 and chosen.static_limit == 1


def test_a_file_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "foundation.json").write_text(json.dumps(PLAIN))
    assert load_settings(tmp_path / "foundation.json").to_dict() == PLAIN


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"classes": "abc"}', b'{"size": 5}'])
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "foundation.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"foundation\.json") as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json"):
        load_settings(tmp_path / "none.json")
