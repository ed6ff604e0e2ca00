"""`fedefm simulate`: all hospitals on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import add_job_options, add_method, resolve_job
from fedefm.commands.output import show
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm simulate --site a=data/hospital-a --site b=data/hospital-b --out runs/first
  fedefm simulate --sites runs/demo-data --rounds 4 --topology ring --out runs/ring
  fedefm simulate --sites runs/demo-data --method fedavg --out runs/fedavg
  fedefm simulate --site a=data/a --site b=data/b --model Segformer:mit_b0 --size 128 --out runs/mit
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "simulate", "train a foundation model with all hospitals on this machine", EXAMPLES)
    add_job_options(parser)
    add_method(parser)
    parser.add_argument(
        "--no-lone", action="store_true", help="skip the lone models that each hospital is compared with"
    )
    parser.add_argument(
        "--in-process", action="store_true", help="without FLARE, in this process; gives the same Theta"
    )
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_simulate, command="simulate")


def _simulate(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.flare.job_folder import FOUNDATION
    from fedefm.foundation.overlays import finish
    from fedefm.report import print_summary, write_report
    from fedefm.simulation.foundation import simulate
    from fedefm.simulation.workspace import check_out, check_site_names

    settings, folders = resolve_job(options)
    check_site_names(folders)
    check_out(options.out)
    terminal = Terminal(quiet=options.json)
    if options.in_process:
        report = _in_process(settings, folders, options, terminal)
    else:
        job, device = options.job or FOUNDATION, options.device
        report = simulate(settings, folders, options.out, job=job, device=device, on_event=terminal)
    page = write_report(report, finish(settings, options.out, folders), options.out)
    show(report, page, options.json, print_summary)
    return 0


def _in_process(settings: Any, folders: dict[str, Path], options: argparse.Namespace, on_event: Any) -> dict[str, Any]:
    from fedefm.foundation.record import save_run
    from fedefm.foundation.run import run_in_process

    run = run_in_process(settings, folders, [on_event], device=options.device)
    return save_run(settings, run.state, run.figures, options.out)
