"""`fedefm benchmark run` and `fedefm benchmark tables`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

RUN_EXAMPLES = """examples:
  fedefm benchmark run --group quick --workers 2
  fedefm benchmark run --group sweep --limit 1
  fedefm benchmark run --group all --list
"""
TABLES_EXAMPLES = """examples:
  fedefm benchmark tables
  fedefm benchmark tables --json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    benchmark = commands.add_parser("benchmark", help="FedEFM and its baselines on the fixed benchmark")
    kinds = benchmark.add_subparsers(required=True, metavar="COMMAND")
    run = add_command(kinds, "run", "run what has no result yet", RUN_EXAMPLES)
    _add_folder(run)
    run.add_argument(
        "--group",
        default="quick",
        help="quick, sweep, bad, gaia, ablation, real or all of these but ablation and real (default: %(default)s)",
    )
    run.add_argument("--method", help="this method's cases only")
    run.add_argument("--limit", type=int, help="at most so many runs")
    run.add_argument("--workers", type=int, default=1, help="runs at a time (default: %(default)s)")
    run.add_argument("--device", default="", help="torch device (default: a GPU where there is one)")
    run.add_argument("--cache", type=Path, default=Path("runs/benchmark-data"), help="keeps images (%(default)s)")
    run.add_argument("--real", type=Path, help="folder with the real images of the group real")
    run.add_argument("--list", action="store_true", help="only say what is left")
    run.set_defaults(run=_run)
    tables = add_command(kinds, "tables", "write summary.json, and tables and plots of the page", TABLES_EXAMPLES)
    _add_folder(tables)
    tables.add_argument(
        "--page", type=Path, default=Path("docs/benchmark.md"), help="page with the tables (%(default)s)"
    )
    tables.add_argument("--json", action="store_true", help="print summary.json")
    tables.set_defaults(run=_tables)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=Path, default=Path("benchmarks"), help="definition and results (default: %(default)s)"
    )


def _run(options: argparse.Namespace) -> int:
    from fedefm.benchmark.definition import load_definition
    from fedefm.benchmark.store import left_over

    definition = load_definition(options.folder)
    cases = [c for c in definition.cases(options.group) if options.method in (None, c.method)]
    left = left_over(definition, cases)
    print(f"benchmark '{options.group}': {len(left)} of {len(cases)} runs left")
    if options.list:
        print("\n".join(case.key for case in left))
        return 0
    from fedefm.benchmark.data import Images
    from fedefm.benchmark.sweep import sweep

    images = Images(options.cache, options.real)
    sweep(definition, left[: options.limit], images, _print_result, options.workers, options.device)
    return 0


def _print_result(case: Any, result: dict[str, Any], seconds: float) -> None:
    dice = result["dice"]
    print(f"{case.key}: test Dice {dice['test']:.3f}, validation {dice['validation']:.3f}, {seconds:.0f} s", flush=True)


def _tables(options: argparse.Namespace) -> int:
    from fedefm.benchmark.definition import load_definition
    from fedefm.benchmark.page import write_page
    from fedefm.benchmark.store import current_results, write_json
    from fedefm.benchmark.summary import summarise, summary_path

    definition = load_definition(options.folder)
    summary = summarise(current_results(definition))
    write_json(summary_path(definition), summary)
    write_page(summary, options.page)
    print(
        json.dumps(summary, indent=2, sort_keys=True) if options.json else f"{summary_path(definition)}, {options.page}"
    )
    return 0
