"""`python -m benchmarks.fixed run` and `python -m benchmarks.fixed tables`, from the root of a checkout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fedefm.cli import run
from fedefm.commands.parser import add_command

RUN_EXAMPLES = """examples:
  python -m benchmarks.fixed run --group quick --workers 2
  python -m benchmarks.fixed run --group sweep --limit 1
  python -m benchmarks.fixed run --group all --list
"""
TABLES_EXAMPLES = """examples:
  python -m benchmarks.fixed tables
  python -m benchmarks.fixed tables --json
"""


def build_parser() -> argparse.ArgumentParser:
    """Both subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fixed", description="FedEFM and its baselines on the fixed benchmark."
    )
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    running = add_command(kinds, "run", "run what has no result yet", RUN_EXAMPLES)
    _add_folder(running)
    running.add_argument(
        "--group",
        default="quick",
        help="quick, sweep, decisive, bad, gaia, turns_in_groups, ablation, real, or all of these but the last three "
        "(default: %(default)s)",
    )
    running.add_argument("--method", help="this method's cases only")
    running.add_argument("--limit", type=int, help="at most so many runs")
    running.add_argument("--workers", type=int, default=1, help="runs at a time (default: %(default)s)")
    running.add_argument("--device", default="", help="torch device (default: a GPU where there is one)")
    running.add_argument("--cache", type=Path, default=Path("runs/benchmark-data"), help="keeps images (%(default)s)")
    running.add_argument("--real", type=Path, help="folder with the real images of the group real")
    running.add_argument("--list", action="store_true", help="only say what is left")
    running.set_defaults(run=_run)
    tables = add_command(kinds, "tables", "write summary.json, and tables and plots of the page", TABLES_EXAMPLES)
    _add_folder(tables)
    tables.add_argument(
        "--page", type=Path, default=Path("docs/benchmark.md"), help="page with the tables (%(default)s)"
    )
    tables.add_argument("--json", action="store_true", help="print summary.json")
    tables.set_defaults(run=_tables)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=Path, default=Path("benchmarks"), help="definition and results (default: %(default)s)"
    )


def _run(options: argparse.Namespace) -> int:
    from benchmarks.fixed.definition import load_definition
    from benchmarks.fixed.store import left_over

    definition = load_definition(options.folder)
    cases = [c for c in definition.cases(options.group) if options.method in (None, c.method)]
    left = left_over(definition, cases)
    print(f"benchmark '{options.group}': {len(left)} of {len(cases)} runs left")
    if options.list:
        print("\n".join(case.key for case in left))
        return 0
    from benchmarks.fixed.data import Images
    from benchmarks.fixed.sweep import sweep

    images = Images(options.cache, options.real)
    sweep(definition, left[: options.limit], images, _print_result, options.workers, options.device)
    return 0


def _print_result(case: Any, result: dict[str, Any], seconds: float) -> None:
    dice = result["dice"]
    print(f"{case.key}: test Dice {dice['test']:.3f}, validation {dice['validation']:.3f}, {seconds:.0f} s", flush=True)


def _tables(options: argparse.Namespace) -> int:
    from benchmarks.fixed.definition import load_definition
    from benchmarks.fixed.page import write_page
    from benchmarks.fixed.store import current_results
    from benchmarks.fixed.summary import summarise, summary_path

    from fedefm.files import write_json

    definition = load_definition(options.folder)
    summary = summarise(current_results(definition))
    write_json(summary_path(definition), summary)
    write_page(summary, options.page)
    print(
        json.dumps(summary, indent=2, sort_keys=True) if options.json else f"{summary_path(definition)}, {options.page}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run(build_parser()))
