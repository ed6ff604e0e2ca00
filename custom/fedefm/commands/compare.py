"""`fedefm compare`: methods side by side."""

from __future__ import annotations

import argparse
from typing import Any

from fedefm.commands.job_options import add_job_options, resolve_methods
from fedefm.commands.output import show
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm compare --sites runs/demo-data --out runs/compare
  fedefm compare --sites runs/demo-data --methods fedefm,fedavg --workers 1 --out runs/two
  fedefm compare --sites runs/demo-data --methods fedefm,uniform,moon --set schedule.local_steps=4
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
    from fedefm.report.terminal import print_comparison
    from fedefm.report.write import write_report
    from fedefm.simulation.workspace import check_out

    plans, folders = resolve_methods(options, options.methods.split(","))
    check_out(options.out)
    terminals: dict[str, Any] = {}
    report = compare(
        plans,
        folders,
        options.out,
        options.workers,
        options.device,
        lambda method, event: terminals.setdefault(method, Terminal(method, quiet=options.json))(event),
    )
    first = next(iter(plans))
    page = write_report(report, finish(plans[first], options.out / first, folders), options.out)
    show(report, page, options.json, print_comparison)
    return 0
