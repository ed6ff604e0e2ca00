"""`fedefm approve`: a person at a hospital says yes or no to a job."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm approve 1a2b3c4d --kit ~/hospital-a             shows the job on one page, then asks
  fedefm approve round-1 --kit ~/hospital-a --by "A. Noether, data protection"
  fedefm approve 1a2b3c4d --kit ~/hospital-a --yes
  fedefm approve 1a2b3c4d --kit ~/hospital-a --deny
  fedefm approve ./job-that-the-lead-sent --kit ~/hospital-a     before it is submitted
`fedefm site jobs KIT` lists what waits. A yes is for one run of one signature.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "approve", "say yes or no to a job that waits at a hospital", EXAMPLES)
    parser.add_argument("job", help="first digits of its signature, its name, or a signed job folder")
    parser.add_argument("--kit", type=Path, required=True, help="the hospital's kit")
    parser.add_argument("--deny", action="store_true", help="say no")
    parser.add_argument("--by", help="who decides (default: the account on this machine)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the page as JSON")
    parser.set_defaults(run=_approve)


def _approve(options: argparse.Namespace) -> int:
    from fedefm.flare.job_summary import page, summary
    from fedefm.kits.approval import forget_waiting
    from fedefm.kits.kit import open_kit
    from fedefm.trust.job_ledger import APPROVED, DENIED, JobLedger

    kit = open_kit(options.kit)
    app, manifest = _found(options.job, kit)
    plain = summary(app, manifest, kit.root)
    print(json.dumps(plain, indent=2) if options.json else page(plain))
    if not options.yes and not _confirmed("deny" if options.deny else "approve"):
        print("nothing was decided; it waits")
        return 0
    decision = DENIED if options.deny else APPROVED
    JobLedger(kit.folder).decided(manifest, decision, options.by or _account())
    forget_waiting(kit.folder, manifest.serial)
    if not options.json:
        print(f"{decision}; " + ("it runs nowhere here" if options.deny else "the lead may now submit the same folder"))
    return 0


def _account() -> str:
    """The name of the account that runs this; its number where it has no name, as in a container."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"account {os.getuid()}"


def _confirmed(word: str) -> bool:
    from fedefm.errors import ConfigError

    if not sys.stdin.isatty():
        raise ConfigError(f"nobody is there to answer; add --yes to {word} it without a question")
    return input(f"type {word} to {word} it: ").strip().casefold() == word


def _found(job: str, kit: Any) -> tuple[Path, Any]:
    """The verified app that is meant, and its manifest."""
    from fedefm.errors import ConfigError
    from fedefm.kits.approval import waiting
    from fedefm.trust import JOB_ROLES, verify_folder, verify_job
    from fedefm.trust.job import META

    if (Path(job) / META).is_file():
        signed = verify_job(Path(job), kit.root)
        if len(signed) != 1:
            raise ConfigError(f"{job}: a job of {len(signed)} apps; submit it, and approve the app that comes here")
        return Path(job) / str(signed[0].claims["app"]), signed[0]
    kept = [(path, verify_folder(path, kit.root, kind="job", roles=JOB_ROLES)) for path in waiting(kit.folder)]
    found = [(path, one) for path, one in kept if one.serial.startswith(job.casefold()) or one.subject == job]
    if len(found) != 1:
        few = "; ".join(f"{one.serial[:8]} {one.subject}" for _, one in kept) or "none waits"
        raise ConfigError(f"{job[:60]!r}: names {len(found)} jobs that wait here ({few}); give the digits of one")
    return found[0]
