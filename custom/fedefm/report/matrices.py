"""Host by visitor tables of one number a round, shaded by its place in the range of all rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedefm.report import text
from fedefm.report.overlay import evenly
from fedefm.report.text import Number

MOST_EARLIER = 12
DEEPEST = 0.75  # opacity of the highest value; text on it stays readable

ByRound = Mapping[str, Mapping[str, Mapping[str, Number | None]]]


@dataclass(frozen=True)
class Shade:
    """One number as text, its background's opacity (0 if there is no number) and whose it is."""

    written: str
    opacity: Number
    title: str


@dataclass(frozen=True)
class Matrix:
    """One round: a row of shades per host, in the order of the sites."""

    round: int
    rows: tuple[tuple[str, tuple[Shade, ...]], ...]


@dataclass(frozen=True)
class MatrixSeries:
    """All rounds of one measure.

    Attributes:
        title: what is measured.
        note: how to read it.
        sites: rows and columns.
        low, high: range of the values, the ends of the shading.
        last: the final round.
        earlier: at most `MOST_EARLIER` rounds before it.
        earlier_total: number of rounds before the last one.
    """

    title: str
    note: str
    sites: tuple[str, ...]
    low: Number
    high: Number
    last: Matrix
    earlier: tuple[Matrix, ...]
    earlier_total: int


def matrix_series(title: str, note: str, by_round: ByRound, sites: Sequence[str]) -> MatrixSeries | None:
    """The series of a measure, None if no round holds a number."""
    rounds = sorted((name for name in by_round if _values(by_round[name])), key=int)
    if not rounds:
        return None
    values = [value for name in rounds for value in _values(by_round[name])]
    low, high = min(values), max(values)
    made = [
        _matrix(int(name), by_round[name], sites, low, high)
        for name in [*evenly(rounds[:-1], MOST_EARLIER), rounds[-1]]
    ]
    return MatrixSeries(title, note, tuple(sites), low, high, made[-1], tuple(made[:-1]), len(rounds) - 1)


def _values(matrix: Mapping[str, Mapping[str, Number | None]]) -> list[Number]:
    return [value for row in matrix.values() for value in row.values() if value is not None]


def _matrix(
    number: int, matrix: Mapping[str, Mapping[str, Number | None]], sites: Sequence[str], low: Number, high: Number
) -> Matrix:
    def shade(host: str, visitor: str) -> Shade:
        value = matrix.get(host, {}).get(visitor)
        title = f"round {number}, {visitor} at {host}: {text.decimals(value)}"
        return Shade("" if value is None else text.decimals(value), opacity(value, low, high), title)

    return Matrix(number, tuple((host, tuple(shade(host, visitor) for visitor in sites)) for host in sites))


def opacity(value: Number | None, low: Number, high: Number) -> Number:
    """Opacity of a value's shade: 0.06 at `low`, `DEEPEST` at `high`, linear between; 0 for None.

    Ends that read the same to three decimals give every value the middle: no difference is shown that is not written.
    """
    if value is None:
        return 0.0
    place = 0.5 if round(high - low, 3) <= 0 else (value - low) / (high - low)
    return round(0.06 + (DEEPEST - 0.06) * place, 3)
