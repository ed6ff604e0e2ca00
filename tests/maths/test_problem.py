"""Every ill posed problem is refused, and the message names the culprit."""

import numpy as np
import pytest

from fedefm.errors import OptimalTransportError
from fedefm.maths.problem import Problem, check_shapes, normalised


def arrays() -> dict[str, np.ndarray]:
    return {"cost": np.ones((3, 2, 4)), "a": np.ones((3, 2)), "b": np.ones((3, 4))}


@pytest.mark.parametrize("argument", ["cost", "a", "b"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_names_argument_and_item_of_a_value_that_is_not_finite(argument: str, bad: float) -> None:
    given = arrays()
    given[argument][2].flat[1] = bad
    with pytest.raises(OptimalTransportError, match=f"{argument} of item 2 .*NaN or infinite"):
        Problem(**given)


def test_tells_an_overflow_from_an_infinity() -> None:
    given = arrays() | {"cost": np.full((3, 2, 4), 1e308)}
    with np.errstate(over="ignore"), pytest.raises(OptimalTransportError, match="cost overflows"):
        Problem(**given)


@pytest.mark.parametrize("total", [0.0, 1e-310])
def test_a_total_too_small_to_divide_by_raises(total: float) -> None:
    given = arrays()
    given["b"][1] = total / 4
    with pytest.raises(OptimalTransportError, match="b of item 1 are all zero"):
        Problem(**given)


def test_the_smallest_total_allowed_normalises() -> None:
    weights = np.full((1, 4), 1e-307)
    np.testing.assert_array_equal(normalised(weights), np.full((1, 4), 0.25))


@pytest.mark.parametrize("shape", [(0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 3), (1, 2, 3, 4)])
def test_refuses_a_cost_of_wrong_or_empty_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptimalTransportError, match="cost has shape"):
        check_shapes(shape, shape[:2], (shape[0], shape[-1]))


def test_messages_are_one_line() -> None:
    given = arrays()
    given["a"][0, 0] = -1.0
    with pytest.raises(OptimalTransportError) as caught:
        Problem(**given)
    assert "\n" not in str(caught.value)
