"""Write results whole, or not at all: `report.json` with `report.html`, or a new folder."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
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
    page = render(report, overlays)
    content = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_together(folder, {JSON_NAME: content, HTML_NAME: page})
    return folder / HTML_NAME


def write_together(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files as UTF-8 into `folder`: each beside its place, then all renamed.

    Raises:
        ConfigError: the folder cannot be written.
    """
    beside = {folder / f".{name}.{os.getpid()}.part": folder / name for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, content in zip(beside, files.values(), strict=True):
            _write_through(part, content)
        for part, place in beside.items():
            part.replace(place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write the report to {folder}: {reason}; choose a writable folder") from error
    finally:
        for part in beside:
            _remove(part)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end, or goes away with an error.

    Raises:
        ConfigError: the place is taken.
    """
    check_free(out)
    out = out.resolve()  # "." has no name
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    folder.mkdir(parents=True)
    try:
        yield folder
        if out.exists():
            out.rmdir()
        folder.replace(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_free(out: Path) -> None:
    """Refuse a place that is taken.

    Raises:
        ConfigError: it is a file, or a folder that holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is not an empty folder; name a new one for the results")


def _write_through(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself could not be used: nothing was written there
