"""What became of each promise of a drill: a table for the terminal, a page and a file for the consortium."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedefm.files import write_together
from fedefm.report.templates import environment
from fedefm.report.text import duration

JSON_NAME, HTML_NAME = "drill.json", "drill.html"
KEPT, BROKEN = ("✓ kept", "green"), ("✕ broken", "red")


def write_drill(summary: Mapping[str, Any], folder: Path) -> Path:
    """Write `drill.json` and `drill.html`, and give the page's path.

    Args:
        summary: of `fedefm.federation.drill.drill`.
        folder: where to.

    Raises:
        ConfigError: the folder cannot be written.
    """
    content = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_together(folder, {JSON_NAME: content, HTML_NAME: render_drill(summary)})
    return folder / HTML_NAME


def render_drill(summary: Mapping[str, Any]) -> str:
    """The page as HTML; it needs no other file and no script."""
    return environment().get_template("drill.html").render(drill=summary, took=sum(summary["seconds"].values()))


def print_drill(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what was done, what was promised, what happened, and whether that is the same."""
    table = Table(show_lines=True)
    for name in ("what was done", "what was promised", "what happened", ""):
        table.add_column(name, no_wrap=not name)
    for fault in summary["faults"]:
        happened = Text("; ").join(Text(one["text"], style="" if one["kept"] else "red") for one in fault["happened"])
        word, colour = KEPT if fault["kept"] else BROKEN
        table.add_row(Text(fault["done"]), Text(fault["promised"]), happened, Text(word, style=colour))
    console = console or Console()
    console.print(table)
    broken = sum(not fault["kept"] for fault in summary["faults"])
    told = f"{broken} of {len(summary['faults'])} promises broken" if broken else "every promise was kept"
    if summary["trouble"]:
        told += f"; {summary['trouble']}"
    console.print(Text(f"{told}; {duration(sum(summary['seconds'].values()))}"), soft_wrap=True)
