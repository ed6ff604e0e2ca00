"""`fedefm export`: weights for other programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm export runs/demo/theta.safetensors --out exported
  fedefm export runs/demo/theta.safetensors --format torchscript --out exported-ts
  fedefm export runs/demo/theta.safetensors --format monai --out bundle
  fedefm export runs/demo/theta.safetensors --format hf --licence "CC BY 4.0" --out model-repository
  fedefm export runs/demo/models/north.safetensors --out exported-north --json
  fedefm export runs/tuned/tuned.safetensors --evaluation runs/evaluated/report.json --licence "CC BY 4.0" --out card
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands, "export", "write weights for other programs, checked against torch, with a model card", EXAMPLES
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="weights, such as theta.safetensors")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument(
        "--format",
        default="onnx",
        metavar="FORMAT",
        help="onnx: the network, for any runtime. torchscript: grey image to labels, for torch alone. "
        "monai: a bundle that `python -m monai.bundle run` runs. hf: a model repository for Hugging Face. "
        "Default: onnx",
    )
    parser.add_argument(
        "--evaluation", type=Path, metavar="REPORT", help="report.json of `fedefm evaluate`, for the card"
    )
    parser.add_argument(
        "--root", type=Path, metavar="PEM", help="the consortium's rootCA.pem: the folder of WEIGHTS must be signed"
    )
    parser.add_argument("--licence", metavar="TEXT", help="of the weights, for the card (default: not chosen)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from fedefm.export.export import export
    from fedefm.export.parcel import NO_LICENCE

    done = export(
        options.weights,
        options.out,
        kind=options.format,
        evaluation=options.evaluation,
        licence=options.licence or NO_LICENCE,
        root=options.root,
    )
    if options.json:
        print(json.dumps(done, indent=2))
        return 0
    found = "with the figures of report.json" if done["report"] else "without figures: no report.json of these weights"
    print(f"{options.out / done['model']}  differs from torch by at most {done['difference']:.1e}")
    print(f"{options.out / done['card']}  {found}")
    return 0
