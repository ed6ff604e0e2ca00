"""The page of what may be burned-in text, and the list of what was held back: for the hospital's own screen."""

import base64
import csv
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fedefm.data.deidentify.journal import Entry
from fedefm.errors import visible
from fedefm.files import write_whole

PAGE, LIST, CROPS = "text.html", "held-back.csv", "crops"
_MOST = 500  # pictures on the page
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What may be burned-in text</title>
<style>body{font:16px sans-serif;margin:2rem}img{border:1px solid #888;min-width:12rem;image-rendering:pixelated}
td,th{padding:.4rem;text-align:left;vertical-align:top}</style></head><body>
<h1>What may be burned-in text</h1>
<p>These pictures stay on this machine. A file with a name, a number or a date in its pixels must not be used.
Where all of it is harmless (a letter for the side, a scale, a false alarm), prepare the export again into another
folder with <code>--accept-text</code>.</p>
"""


def write_lists(private: Path, entries: Iterable[Entry]) -> None:
    """Write page and list anew; only their owner may read them.

    Raises:
        ConfigError: they cannot be written.
    """
    held = sorted((entry for entry in entries if entry.reason is not None or entry.crops), key=lambda entry: entry.file)
    write_whole(private / PAGE, _page(private, [entry for entry in held if entry.crops]), mode=0o600)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["file", "reason"])
    writer.writerows([visible(entry.file), visible(entry.reason)] for entry in held if entry.reason is not None)
    write_whole(private / LIST, table.getvalue().encode("utf-8", "backslashreplace"), mode=0o600)


def _page(private: Path, entries: Sequence[Entry]) -> bytes:
    lines, left = [_HEAD, "<table><tr><th>file</th><th>pixels</th></tr>\n"], _MOST
    for entry in entries:
        names, left = entry.crops[:left], max(0, left - len(entry.crops))
        pictures = " ".join(_picture(private / CROPS / name) for name in names)
        lines.append(f"<tr><td>{html.escape(visible(entry.file))}</td><td>{pictures}</td></tr>\n")
    lines.append("</table>\n" if entries else "</table><p>Nothing was found.</p>\n")
    lines.append("" if left else f"<p>The first {_MOST} pictures; the others are in {CROPS}/.</p>\n")
    return "".join([*lines, "</body></html>\n"]).encode("utf-8", "backslashreplace")


def _picture(path: Path) -> str:
    coded = base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
    return f'<img alt="" src="data:image/png;base64,{coded}">'
