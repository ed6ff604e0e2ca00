"""How a command shows a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def show(report: dict[str, Any], page: Path, as_json: bool, table: Any) -> None:
    """Print a report as tables with its page, or as JSON."""
    if as_json:
        print(json.dumps(report, indent=2, sort_keys=True))
        return
    table(report)
    print(f"report: {page}")
