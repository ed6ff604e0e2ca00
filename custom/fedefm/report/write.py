"""Write results whole, or not at all: `report.json` with `report.html`, or a new folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedefm.files import write_together
from fedefm.report.overlay import Overlay
from fedefm.report.page import render
from fedefm.report.schema import validate_report

JSON_NAME = "report.json"
HTML_NAME = "report.html"


def write_report(report: Mapping[str, Any], overlays: Sequence[Overlay], folder: Path) -> Path:
    """Write a run's summary and its page into `folder`, replacing earlier ones.

    Both files are made in full beside their places before the first is renamed into it, so no reader meets a partial
    file, and a failure before that leaves the earlier report as it was.

    Args:
        report: what `validate_report` accepts.
        overlays: pictures to show first, in this order.
        folder: where to write; made if it does not exist.

    Returns:
        The path of `report.html`.

    Raises:
        ConfigError: the report does not fit the schema, or the folder cannot be written.
    """
    validate_report(report)
    return write_page(report, render(report, overlays), folder)


def write_page(record: Mapping[str, Any], page: str, folder: Path) -> Path:
    """Write a job's record as `report.json` and its page together, and give the page's path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    content = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_together(folder, {JSON_NAME: content, HTML_NAME: page})
    return folder / HTML_NAME
