import pytest

from fedefm.errors import ConfigError
from fedefm.exchange.schedule import Schedule


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": "random"},
        {"groups": 0},
        {"server_rate": 0.0},
        {"reputation_limit": 1.5},
        {"rounds": 0},
        {"local_steps": 0},
        {"overseas_steps": 0},
        {"distil_steps": -1},
        {"min_sites": 0},
        {"max_misses": 0},
        {"theta_mixing": 1.5},
        {"theta_mixing": float("nan")},
        {"seed": -1},
    ],
)
def test_a_value_out_of_range_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Schedule(**wrong)
