import numpy as np
import pytest
from scipy import stats

from fedefm.errors import DataError
from fedefm.metrics import bootstrap_mean


def test_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).normal(size=40)
    ours = bootstrap_mean(values.tolist(), resamples=20_000, seed=1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=2)
    assert ours.mean == pytest.approx(values.mean())
    assert ours[1:] == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    source = np.random.default_rng(3)
    hits = [
        low <= 0.5 <= high for _, low, high in (bootstrap_mean(source.random(30).tolist(), seed=k) for k in range(300))
    ]
    assert 0.89 <= np.mean(hits) <= 0.98


def test_patients_are_drawn_whole() -> None:
    """Ten like frames of each of four patients tell no more than four frames do."""
    values = [0.1] * 10 + [0.4] * 10 + [0.6] * 10 + [0.9] * 10
    groups = [f"p{k // 10}" for k in range(40)]
    alone, together = bootstrap_mean(values), bootstrap_mean(values, groups)
    assert together.mean == alone.mean == pytest.approx(0.5)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_is_seeded() -> None:
    values = [0.1, 0.5, 0.2, 0.9]
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_none_one_and_wrong() -> None:
    assert bootstrap_mean([]) is None
    assert bootstrap_mean([0.3]) == (0.3, 0.3, 0.3)
    with pytest.raises(DataError, match="groups"):
        bootstrap_mean([0.1, 0.2], ["a"])
    with pytest.raises(DataError, match="NaN"):
        bootstrap_mean([0.1, float("nan")])
