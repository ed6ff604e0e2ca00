"""`fedefm resume`: go on with a run that was interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fedefm.commands.output import show
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm resume runs/first
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "go on with a `fedefm simulate` that was interrupted; it ends with the same Theta"
    parser = add_command(commands, "resume", text, EXAMPLES)
    parser.add_argument("folder", type=Path, metavar="RUN", help="the folder of its results")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_resume)


def _resume(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.report.terminal import print_summary
    from fedefm.report.write import HTML_NAME
    from fedefm.simulation.run import resume

    report = resume(options.folder, Terminal(quiet=options.json))
    show(report, options.folder / HTML_NAME, options.json, print_summary)
    return 0
