"""Puts the tables and the plot into `docs/benchmark.md`, between its marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.fixed.plots import plot_shares
from benchmarks.fixed.tables import all_tables, searched

from fedefm.errors import ConfigError
from fedefm.files import write_whole

BEGIN = "<!-- made by python -m benchmarks.fixed tables: begin -->"
END = "<!-- made by python -m benchmarks.fixed tables: end -->"
PLOT = Path("images") / "benchmark.png"


def write_page(summary: Mapping[str, Any], page: Path) -> None:
    """Renew what stands between the marks, and the plot beside the page.

    Raises:
        ConfigError: the page lacks a mark.
    """
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ConfigError(f"{page}: write the two lines '{BEGIN}' and '{END}' where the tables belong")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    picture = f"![Mean test Dice against the share of unseen labels, synthetic]({PLOT.as_posix()})"
    plot_shares(searched(summary).get("dice", {}), page.parent / PLOT)
    write_whole(page, f"{before}{BEGIN}\n{picture}\n\n{all_tables(summary)}\n{END}{after}")
