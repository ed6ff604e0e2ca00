"""`fedefm data synth` and `fedefm data check`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

SYNTH_EXAMPLES = """examples:
  fedefm data synth --out runs/demo-data
  fedefm data synth --out data/small --frames 24 --size 64 --unseen 0.5 --seed 3
"""
CHECK_EXAMPLES = """examples:
  fedefm data check data/hospital-a
  fedefm data check data/hospital-a --json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    data = commands.add_parser("data", help="make synthetic images, or check a folder of your own")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    _add_synth(kinds)
    _add_check(kinds)


def _add_synth(commands: Any) -> None:
    parser = add_command(commands, "synth", "make labelled synthetic fluoroscopy in four looks", SYNTH_EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets one folder for each hospital")
    parser.add_argument("--frames", type=int, default=80, help="frames a hospital (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--unseen",
        type=float,
        default=1.0,
        help="share of others' classes that a hospital never labels (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.set_defaults(run=_synth)


def _add_check(commands: Any) -> None:
    parser = add_command(
        commands,
        "check",
        "read a hospital's folder as training would, and say what is there; exit code 3 where training would stop",
        CHECK_EXAMPLES,
    )
    parser.add_argument("folder", type=Path, help="folder with images/, masks/ and dataset.json")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_check)


def _synth(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import counter
    from fedefm.data.synth import write_consortium

    folders = write_consortium(
        options.out,
        frames_per_site=options.frames,
        size=options.size,
        seed=options.seed,
        unseen=options.unseen,
        progress=counter("synthetic frames"),
    )
    print(f"{len(folders)} hospitals in {options.out}: {', '.join(folder.name for folder in folders)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from fedefm.data.describe import describe_folder
    from fedefm.errors import DataError

    summary = describe_folder(options.folder)
    print(json.dumps(summary.to_json(), indent=2) if options.json else summary)
    return DataError.exit_code if summary.stops else 0
