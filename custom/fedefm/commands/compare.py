"""`fedefm compare`: methods side by side."""

from __future__ import annotations

import argparse
from typing import Any

from fedefm.commands.job_options import add_job_options, resolve_job
from fedefm.commands.output import show
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm compare --sites runs/demo-data --out runs/compare
  fedefm compare --sites runs/demo-data --methods fedefm,fedavg --workers 1 --out runs/two
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "compare", "FedEFM beside its baselines at equal gradient steps", EXAMPLES)
    add_job_options(parser)
    parser.add_argument("--methods", default="fedefm,fedavg,lone", help="comma-separated (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_compare, command="compare")


def _compare(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.foundation.compare import compare
    from fedefm.foundation.overlays import finish
    from fedefm.report import print_comparison, write_report
    from fedefm.simulation.workspace import check_out

    settings, folders = resolve_job(options)
    check_out(options.out)
    terminals: dict[str, Any] = {}
    report = compare(
        settings,
        folders,
        options.out,
        options.methods.split(","),
        options.workers,
        options.device,
        lambda method, event: terminals.setdefault(method, Terminal(method, quiet=options.json))(event),
    )
    page = write_report(report, finish(settings, options.out / options.methods.split(",")[0], folders), options.out)
    show(report, page, options.json, print_comparison)
    return 0
