"""`fedefm federation`: a real federation on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import free_folder
from fedefm.commands.parser import add_command

TEXT = "provision, start and run a real federation on this machine, over mutual TLS, and check what comes out"
EXAMPLES = """examples:
  fedefm federation
  fedefm federation --out runs/rehearsal --keep      (kits and logs stay in runs/rehearsal/work)
  fedefm federation --json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "federation", TEXT, EXAMPLES)
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/federation)")
    parser.add_argument("--seed", type=int, default=0, help="of data and job (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave kits, logs and data")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON; progress goes to stderr")
    parser.set_defaults(run=_federation)


def _federation(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.federation import rehearse

    out = options.out or free_folder(Path("runs") / "federation")
    summary = rehearse(
        out,
        seed=options.seed,
        keep=options.keep,
        say=lambda step: print(f"{step} ...", file=sys.stderr, flush=True),
        on_event=Terminal(quiet=options.json),
    )
    print(json.dumps(summary, indent=1) if options.json else _table(summary, out))
    return 0


def _table(summary: dict[str, Any], out: Path) -> str:
    seconds = ", ".join(f"{step} {time:.1f} s" for step, time in summary["seconds"].items())
    return "\n".join(
        [
            f"hospitals  {', '.join(summary['hospitals'])} over mutual TLS, none lost",
            f"Theta      sha256 {summary['theta']}, the same as in one process",
            f"time       {sum(summary['seconds'].values()):.0f} s: {seconds}",
            f"results    {out}",
        ]
    )
