"""How numbers are written for people: three decimals, units named, None in words."""

from collections.abc import Mapping
from typing import Any

Number = int | float  # JSON writes 1.0 as 1 where it pleases

NOT_LABELLED = "not labelled"
NO_RESULT = "no result"
HELD_BACK = "held back"


def decimals(value: Number | None) -> str:
    """A number to three decimals; an en dash for None."""
    return "–" if value is None else f"{value:.3f}"


def score(value: Number | None) -> str:
    """A pooled Dice or IoU to three decimals; `not labelled` for None."""
    return NOT_LABELLED if value is None else f"{value:.3f}"


def count(value: int | None) -> str:
    """A number of images; an en dash where the hospital holds it back."""
    return "–" if value is None else str(value)


def difference(value: Number | None) -> str:
    """A signed difference to three decimals; an en dash for None."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def seconds(value: Number) -> str:
    """Seconds to three decimals."""
    return f"{value:.3f} s"


def duration(value: Number) -> str:
    """Seconds as a person says them: `48 s`, `3 min`, `2 h 5 min`."""
    minutes = round(value / 60)
    if value < 120:
        return f"{value:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def data_size(value: Number) -> str:
    """Bytes in SI units (1 kB = 1000 B), three decimals."""
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.9995:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3f} {unit}"
        size /= 1000
    return f"{size:.3f} TB"


def times_least(size: Number, least: Number | None) -> str:
    """Bytes as a multiple of the least possible; an en dash where these are not known, or nothing had to be moved."""
    return f"{size / least:.2f}" if least else "–"


def hospitals(number: int) -> str:
    """`1 hospital`, `3 hospitals`."""
    return f"{number} hospital" if number == 1 else f"{number} hospitals"


def rounds(number: int) -> str:
    """`1 round`, `8 rounds`."""
    return f"{number} round" if number == 1 else f"{number} rounds"


def resumed(item: Mapping[str, Any]) -> str:
    """Where a run that was interrupted went on."""
    return f"from round {item['round'] + 1}" + (f"; {item['note']}" if item["note"] else "")
