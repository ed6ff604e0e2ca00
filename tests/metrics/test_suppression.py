import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.metrics import ScoredImage, score_cases, suppress_small

figures = st.recursive(
    st.floats(0, 1) | st.integers(0, 9),
    lambda inner: st.dictionaries(st.sampled_from(["dice", "support", "x", "y"]), inner, max_size=4),
    max_leaves=12,
)


def told(group: dict, least: int, safe: bool = False, bad: bool = False) -> bool:
    """Whether any number is told that a support on its way forbids, or that none allows."""
    if "support" in group:
        support = group["support"]
        good = support is not None and not isinstance(support, dict) and isinstance(support, int) and support >= least
        safe, bad = safe or good, bad or not good
    return any(
        told(value, least, safe, bad) if isinstance(value, dict) else value is not None and (bad or not safe)
        for value in group.values()
    )


@given(st.dictionaries(st.sampled_from(["a", "support"]), figures, max_size=3), st.integers(1, 6))
def test_no_figure_of_few_images_is_told(scores: dict, least: int) -> None:
    assert not told(suppress_small(scores, least), least)


def test_enough_stays_and_few_goes() -> None:
    scores = {"a": {"dice": {"mean": 0.5, "support": 9}, "support": 9}, "b": {"dice": 0.9, "support": 4}, "loose": 1.0}
    assert suppress_small(scores, 5) == {
        "a": {"dice": {"mean": 0.5, "support": 9}, "support": 9},
        "b": {"dice": None, "support": None},
        "loose": None,
    }


def test_a_group_inside_a_small_one_goes_too() -> None:
    assert suppress_small({"a": {"support": 2, "dice": {"mean": 0.5, "support": 9}}}, 5)["a"]["dice"]["mean"] is None


def test_a_table_of_scores_passes_through() -> None:
    case = ScoredImage(np.eye(8, dtype=int), np.eye(8, dtype=int))
    rare = ScoredImage(np.eye(8, dtype=int) * 2, np.eye(8, dtype=int) * 2)
    kept = suppress_small(score_cases([case] * 6 + [rare], ["catheter", "guidewire"]), 5)
    assert kept["by_class"]["catheter"]["dice"]["mean"] == 1
    assert set(map(str, kept["by_class"]["guidewire"]["dice"].values())) == {"None"}
    assert kept["by_class"]["guidewire"]["support"] is None
    json.dumps(kept, allow_nan=False)


def test_a_least_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError):
        suppress_small({}, 0)
