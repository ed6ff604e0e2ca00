"""`fedefm wheels`: the program and all that it needs, as files, for machines that reach no package registry."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

TEXT = "gather the program and every package that it needs in one folder, for machines without a package registry"
EXAMPLES = """examples:
  fedefm wheels wheels --program dist/fedefm-0.1.0-py3-none-any.whl
  fedefm wheels wheels-2 --program dist/fedefm-0.1.0-py3-none-any.whl --from wheels     (asks no registry)
run it on a machine like those that will install from it: same processor, system and minor version of Python
there, in a new environment:
  pip install --no-index --find-links wheels --require-hashes -r wheels/requirements.txt
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "wheels", TEXT, EXAMPLES)
    parser.add_argument("out", type=Path, help="new folder of the wheels and of requirements.txt with their hashes")
    parser.add_argument("--program", type=Path, required=True, help="the wheel of fedefm")
    parser.add_argument(
        "--constraints", type=Path, default=Path("constraints.txt"), help="tested versions (default: %(default)s)"
    )
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="FOLDER", help="take wheels from this folder, and ask no registry"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_wheels)


def _wheels(options: argparse.Namespace) -> int:
    from fedefm.kits.wheel_house import LIST, kind, pack

    house = pack(options.out, options.program, options.constraints, options.source)
    if options.json:
        plain = {"folder": str(house.folder), "for": kind(), "bytes": house.size, LIST: house.sha256}
        print(json.dumps(plain | {"packages": house.packages}, indent=2))
        return 0
    print(f"{house.folder}: {len(house.packages)} packages, {house.size / 1e6:.0f} MB, for {kind()}")
    print(f"{LIST}: sha256 {house.sha256}")
    print("send this hash by another way than the folder; `sha256sum` shows it there")
    return 0
