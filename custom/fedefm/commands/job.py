"""`fedefm job write`: the job folder that a lead signs and submits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import add_job, add_method, settings_given, with_given
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm job write --out round-1
  fedefm job write --method moon --out moon --set schedule.rounds=4 --set classes='["catheter","vessel"]'
  fedefm job write --method ring --out gaia --set topology=benchmarks/gaia_ring.json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    job = commands.add_parser("job", help="write a FLARE job folder, to be signed and submitted")
    kinds = job.add_subparsers(required=True, metavar="COMMAND")
    parser = add_command(kinds, "write", "write a plain FLARE job folder: configuration, no code", EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder of the job")
    add_method(parser)
    add_job(parser)
    parser.set_defaults(run=_write)


def _write(options: argparse.Namespace) -> int:
    from fedefm.errors import ConfigError
    from fedefm.flare.job_folder import FOUNDATION, write_job
    from fedefm.foundation.methods import job_settings

    if options.out.exists():
        raise ConfigError(f"{options.out}: is there already; name a new folder for the job")
    plain = job_settings(options.job, options.method).to_dict()
    settings = with_given(plain, settings_given(options.set), options.job, options.method)
    if settings.rules.pooled:
        raise ConfigError(
            f"'{settings.schedule.method}' needs all images in one process; no hospital can run it as a job"
        )
    write_job(options.out, settings, options.job or FOUNDATION, name=settings.name)
    print(f"{options.out}: job '{settings.name}', method {settings.schedule.method}; next: fedefm trust sign")
    return 0
