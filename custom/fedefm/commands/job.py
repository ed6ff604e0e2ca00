"""`fedefm job write`, `sign` and `submit`; `job watch` and `job report` are `fedefm watch` and `fedefm report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands import report, watch
from fedefm.commands.job_options import add_job, add_method, settings_given, with_given
from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.kits.kit import Kit

WRITE_EXAMPLES = """examples:
  fedefm job write --out round-1
  fedefm job write --method moon --out moon --set schedule.rounds=4 --set classes='["catheter","vessel"]'
  fedefm job write --method ring --out gaia --set topology=benchmarks/gaia_ring.json
"""
SIGN_EXAMPLES = """examples:
  fedefm job sign round-1 --startup-kit lead

For a hospital that wants to see and approve a job before it is submitted: send the folder, then `fedefm job submit
round-1 --startup-kit lead --as-signed`. A setting that the job could not use is refused here.
"""
SUBMIT_EXAMPLES = """examples:
  fedefm job submit jobs/foundation --startup-kit lead
  fedefm job submit round-1 --startup-kit lead --watch
  fedefm job submit round-1 --startup-kit lead --as-signed      (a hospital has approved this signature)

It signs the folder with the kit's own key and gives it to `nvflare job submit`. A hospital runs a signature once, so a
job is signed anew each time; --as-signed leaves the signature that the folder has.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    job = commands.add_parser("job", help="write, sign, submit, watch and report a FLARE job")
    kinds = job.add_subparsers(required=True, metavar="COMMAND")
    parser = add_command(kinds, "write", "write a plain FLARE job folder: configuration, no code", WRITE_EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder of the job")
    add_method(parser)
    add_job(parser)
    parser.set_defaults(run=_write)
    parser = add_command(kinds, "sign", "check a job's settings, and sign its folder", SIGN_EXAMPLES)
    _add_folder_and_kit(parser)
    parser.set_defaults(run=_sign)
    parser = add_command(kinds, "submit", "sign a job folder and submit it", SUBMIT_EXAMPLES)
    _add_folder_and_kit(parser)
    parser.add_argument("--as-signed", action="store_true", help="submit it with the signature that it has")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="then watch it, as `fedefm watch` does")
    how.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_submit)
    watch.add(kinds)
    report.add(kinds)


def _add_folder_and_kit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the job folder")
    parser.add_argument(
        "--startup-kit", type=Path, required=True, metavar="FOLDER", help="your kit: a lead's or a project admin's"
    )


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
    print(f"{options.out}: job '{settings.name}', method {settings.schedule.method}; next: fedefm job submit")
    return 0


def _sign(options: argparse.Namespace) -> int:
    print(f"{options.folder}: {_signed(options.folder, _kit(options))}; next: fedefm job submit --as-signed")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from fedefm.federation.console import Console
    from fedefm.trust import verify_job

    kit = _kit(options)
    if options.as_signed:
        verify_job(options.folder, kit.root)
    else:
        _signed(options.folder, kit)
    job_id = Console(kit.folder.resolve()).submit(options.folder.resolve())
    if options.json:
        print(json.dumps({"job_id": job_id}))
        return 0
    print(f"job {job_id}: submitted; next: fedefm watch {job_id} --startup-kit {options.startup_kit}", flush=True)
    if not options.watch:
        return 0
    return watch.watch_on_terminal(options.startup_kit, job_id)


def _kit(options: argparse.Namespace) -> Kit:
    from fedefm.kits.kit import open_persons_kit

    return open_persons_kit(options.startup_kit)


def _signed(folder: Path, kit: Kit) -> str:
    """Sign a job with a person's kit; what was signed, in words."""
    from fedefm.flare.job_signing import sign_checked
    from fedefm.trust import verify_job

    sign_checked(folder, kit.certificate, kit.key)
    signed = verify_job(folder, kit.root)  # as a hospital will: a kit without the role for it is told so here
    return f"job '{signed[0].subject}' signed by {kit.name}"
