import copy
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.report.schema import SCHEMA, check_plain, validate_report
from support.fake_report import fake_report

REQUIRED = sorted(set(fake_report()) - {"baselines"})
INNER = [
    ("theta", "path"),
    ("theta", "sha256"),
    ("models", "human", "sha256"),
    *((metric, key) for metric in ("dice", "iou") for key in ("mean", "by_site", "support", "by_model")),
    ("history", 0, "round"),
    ("history", 0, "loss"),
    ("history", 0, "val_dice"),
    ("lost", 0, "site"),
    ("lost", 0, "round"),
    ("lost", 0, "stage"),
    ("lost", 0, "visitor"),
    ("lost", 0, "reason"),
    ("seconds", "total"),
    ("corpora", "human"),
    ("images", "human"),
    ("baselines", "human", "lone"),
]


def inside(report, keys):
    for key in keys:
        report = report[key]
    return report


def test_a_full_report_passes(report, comparison):
    validate_report(report)
    validate_report(comparison)
    validate_report(json.loads(json.dumps(comparison)))


def test_baselines_are_optional(report):
    del report["baselines"]
    validate_report(report)


@pytest.mark.parametrize("keys", [(key,) for key in REQUIRED] + INNER, ids=str)
def test_each_missing_key_is_named(report, keys):
    del inside(report, keys[:-1])[keys[-1]]
    with pytest.raises(ConfigError) as caught:
        validate_report(report)
    assert f"'{'.'.join(map(str, keys))}' is missing" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("schema",), SCHEMA + 1),
        (("schema",), True),
        (("name",), 3),
        (("seed",), 0.5),
        (("seed",), None),
        (("rounds",), -1),
        (("sites",), "human"),
        (("sites",), ["a", "a"]),
        (("config",), []),
        (("config", "f"), print),
        (("config", "tags"), [1.0, {"deep": math.nan}]),
        (("versions", "torch"), 2.9),
        (("dice", "mean"), "0.4"),
        (("dice", "mean"), 1.0001),
        (("dice", "by_site", "human", "vessel"), -0.1),
        (("iou", "by_model", "human", "human", "vessel"), math.inf),
        (("dice", "support", "human", "vessel"), 1.5),
        (("history",), {}),
        (("history", 0, "loss", "distil", "human"), math.nan),
        (("seconds", "local"), -1.0),
        (("bytes", "local"), "12"),
        (("lost", 0, "visitor"), 3),
        (("emd_similarity", "last"), {}),
        (("expert_dice", "0", "human", "animal"), 2.0),
        (("images", "human", "train"), -24),
        (("schema",), float(SCHEMA)),
        (("seconds", "local"), 10**400),
        (("bytes", "local"), True),
        (("config", "steps"), 10**4000),
        (("corpora", "human"), ["vessel", "vessel"]),
        (("lost", 0), None),
        (("sites",), [None]),
        (("expert_dice", "٣"), {}),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(report, keys, value):
    inside(report, keys[:-1])[keys[-1]] = value
    with pytest.raises(ConfigError) as caught:
        validate_report(report)
    place = str(caught.value).split("'")[1].removeprefix("report.").removesuffix(" (a key)").split(".")
    shared = min(len(place), len(keys))
    assert shared > 0
    assert place[:shared] == [str(key) for key in keys[:shared]]


@pytest.mark.parametrize("key", [1, None, ("a", "b")])
def test_only_text_is_a_key(report, key):
    report["config"][key] = 1  # JSON would silently write 1 as "1"
    with pytest.raises(ConfigError, match="config"):
        validate_report(report)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(json_values)
def test_all_that_json_holds_is_plain(value):
    check_plain(value, "here")


@settings(max_examples=50)
@given(json_values, st.sampled_from([math.nan, math.inf, -math.inf, b"bytes", {1}, 1j]))
def test_what_json_lacks_is_found_at_any_depth(value, foreign):
    with pytest.raises(ConfigError, match=r"here\.a\.1\.b"):
        check_plain({"a": [value, {"b": foreign}]}, "here")


NUMBERS = [("seed",), ("rounds",), ("seconds", "local"), ("history", 0, "loss", "distil", "human"), ("dice", "mean")]


@pytest.mark.parametrize("keys", NUMBERS, ids=str)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text() | st.lists(st.integers()) | st.booleans())
def test_numbers_are_neither_text_nor_booleans(report, keys, value):
    inside(report, keys[:-1])[keys[-1]] = value
    with pytest.raises(ConfigError, match=r"\.".join(map(str, keys))):
        validate_report(report)


def test_a_long_value_is_cut_in_the_message(report):
    report["seed"] = "x" * 10_000 + "\n"
    with pytest.raises(ConfigError) as caught:
        validate_report(report)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_none_stands_only_where_a_key_may_be_empty(report):
    report["theta"] = report["dice"]["mean"] = report["lost"][0]["visitor"] = None
    validate_report(report)
    for key in ("name", "seconds", "sites"):
        with pytest.raises(ConfigError, match=key):
            validate_report(report | {key: None})


@pytest.mark.parametrize("run", [None, 5, []])
def test_a_method_that_is_no_report_is_named(comparison, run):
    comparison["methods"]["fedavg"] = run
    with pytest.raises(ConfigError, match=r"methods\.fedavg' must be"):
        validate_report(comparison)


def test_unknown_names_are_refused(report):
    for metric, names in (("by_site", ["nowhere"]), ("by_site", ["human", "nothing"])):
        broken = copy.deepcopy(report)
        inside(broken, ["dice", metric, *names[:-1]])[names[-1]] = {} if len(names) == 1 else 0.5
        with pytest.raises(ConfigError, match=names[-1]):
            validate_report(broken)
    report["corpora"]["human"] = ["stent"]
    with pytest.raises(ConfigError, match=r"corpora\.human.*stent"):
        validate_report(report)


@pytest.mark.parametrize("key", ["sites", "classes"])
def test_a_report_of_nothing_is_refused(report, key):
    report[key] = []
    with pytest.raises(ConfigError, match=key):
        validate_report(report)


def test_a_comparison_needs_a_mean_per_method(comparison):
    del comparison["dice"]["by_method"]["lone"]
    with pytest.raises(ConfigError, match=r"dice\.by_method\.lone"):
        validate_report(comparison)
    del comparison["dice"]["by_method"]
    with pytest.raises(ConfigError, match=r"dice\.by_method"):
        validate_report(comparison)


def test_a_broken_method_is_named(comparison):
    del comparison["methods"]["fedavg"]["theta"]
    with pytest.raises(ConfigError, match=r"'theta' is missing.*methods\.fedavg"):
        validate_report(comparison)
