"""Figures of few images, and their last digits, say something about those images; they stay at home.

The jobs of a hospital call these functions before anything leaves, and all of them call the same ones.
"""

from collections.abc import Mapping
from typing import Any

from fedefm.errors import ConfigError

LEAST_IMAGES = 5
DIGITS = 4
"""Decimals of a figure that leaves: a pooled Dice to its last bit would tell how many pixels a class has."""


def told_count(count: int, least: int) -> int | None:
    """A number of images, or None where it is below `least`; that there is none at all is no secret of any image."""
    return count if count == 0 or count >= least else None


def told_figure(value: float | None, count: int, least: int) -> float | None:
    """A figure, or None where it rests on fewer than `least` images."""
    return value if count >= least else None


def told_scores(scores: Mapping[str, Any], least: int) -> dict[str, Any]:
    """`suppress_small`; a hospital whose `least` is 1 holds nothing back, and then a class may have no image."""
    return dict(scores) if least == 1 else suppress_small(scores, least)


def rounded(value: Any) -> Any:
    """The same with every fraction, at any depth, rounded to `DIGITS` decimals."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def suppress_small(scores: Mapping[str, Any], least: int = LEAST_IMAGES) -> dict[str, Any]:
    """Replace every figure that rests on fewer than `least` images by None; call it before anything leaves a site.

    A group is a mapping that states its own `support`; where that is too small all else in the group becomes None, the
    support included, with the groups inside it. What no group with a support covers becomes None too: without a count
    nobody can say that it is safe. Text that names a class is a key and stays.

    Args:
        scores: such as `score_cases` gives: class to figures, with `support` in each group.
        least: smallest number of images that may be told.

    Raises:
        ConfigError: `least` is below 1.
    """
    if least < 1:
        raise ConfigError(f"suppression: a least of {least} images hides nothing; choose 1 or more")
    return _filter(scores, least, None)


def _filter(group: Mapping[str, Any], least: int, outside: bool | None) -> dict[str, Any]:
    """Keep what every support on the way down allows; `outside` is None where none was met yet."""
    shown = outside
    if "support" in group:
        shown = outside is not False and _enough(group["support"], least)
    return {key: _kept(value, least, shown) for key, value in group.items()}


def _kept(value: Any, least: int, shown: bool | None) -> Any:
    if isinstance(value, Mapping):
        return _filter(value, least, shown)
    return value if shown else None


def _enough(support: Any, least: int) -> bool:
    return isinstance(support, int) and not isinstance(support, bool) and support >= least
