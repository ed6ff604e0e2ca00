"""`fedefm export`: weights for other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm export runs/demo/theta.safetensors --out exported
  fedefm export runs/demo/models/north.safetensors --out exported-north --json
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands, "export", "write weights as ONNX, checked against torch, with a model card", EXAMPLES
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="weights, such as theta.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from fedefm.export.export import export

    done = export(options.weights, options.out)
    if options.json:
        print(json.dumps(done, indent=2))
        return 0
    found = "with the figures of report.json" if done["report"] else "without figures: no report.json of these weights"
    print(f"{options.out / done['onnx']}  differs from torch by at most {done['difference']:.1e}")
    print(f"{options.out / done['card']}  {found}")
    return 0
