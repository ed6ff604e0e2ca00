import copy
import json
import math

import pytest

from fedefm.errors import ConfigError
from fedefm.report import validate_report
from fedefm.report.schema import SCHEMA
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
