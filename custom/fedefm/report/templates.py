"""The templates of all pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fedefm.report import text

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """The templates beside this file; every value is escaped, an unknown one is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a page comes last; nothing waits for its tools

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "decimals": text.decimals,
        "score": text.score,
        "count_or_dash": text.count,
        "difference": text.difference,
        "seconds": text.seconds,
        "duration": text.duration,
        "data_size": text.data_size,
        "times_least": text.times_least,
        "hospitals": text.hospitals,
        "rounds": text.rounds,
        "resumed": text.resumed,
    }
    return made
