"""`fedefm simulate`: all hospitals on this machine."""

from __future__ import annotations

import argparse
from typing import Any

from fedefm.commands.job_options import add_job_options, add_method, add_start, resolve_job
from fedefm.commands.output import show
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm simulate --site a=data/hospital-a --site b=data/hospital-b --out runs/first
  fedefm simulate --sites runs/demo-data --rounds 4 --topology ring --out runs/ring
  fedefm simulate --sites runs/demo-data --method fedavg --out runs/fedavg
  fedefm simulate --site a=data/a --site b=data/b --model Segformer:mit_b0 --size 128 --out runs/mit
  fedefm simulate --sites data/with-a-new-one --start runs/demo/theta.safetensors --out runs/joined
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "simulate", "train a foundation model with all hospitals on this machine", EXAMPLES)
    add_job_options(parser)
    add_method(parser)
    add_start(parser)
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
    from fedefm.report.terminal import print_summary
    from fedefm.report.write import HTML_NAME
    from fedefm.simulation.run import simulate

    settings, folders = resolve_job(options)
    report = simulate(
        settings,
        folders,
        options.out,
        simulator=not options.in_process,
        job=options.job or FOUNDATION,
        device=options.device,
        theta=options.theta,
        on_event=Terminal(quiet=options.json),
    )
    show(report, options.out / HTML_NAME, options.json, print_summary)
    return 0
