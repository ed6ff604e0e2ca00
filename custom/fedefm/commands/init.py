"""`fedefm init`: start weights of a network, its encoder's from a published file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm init --model Unet:tu-resnet34 --encoder model.safetensors --classes catheter,vessel --out start.safetensors
  fedefm finetune --theta start.safetensors --site a=data/a --out runs/from-imagenet
  fedefm simulate --sites data --model Unet:tu-resnet34 --start start.safetensors

model.safetensors is the file of the encoder's page, such as huggingface.co/timm/resnet34.a1_in1k. Nothing is fetched.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "make start weights, such as from an encoder's published file, for simulate --start and finetune --theta"
    parser = add_command(commands, "init", text, EXAMPLES)
    parser.add_argument("--model", required=True, metavar="ARCHITECTURE:ENCODER", help="such as Unet:tu-resnet34")
    parser.add_argument("--encoder", type=Path, metavar="FILE", help="safetensors file of timm's (default: random)")
    parser.add_argument("--classes", required=True, help="comma-separated foreground classes, in label order")
    parser.add_argument("--size", type=int, default=96, help="side of the images in pixels (default: %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.options.encoder_depth=4"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all other weights (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new file")
    parser.add_argument("--json", action="store_true", help="print file and fingerprint for machines")
    parser.set_defaults(run=_init)


def _init(options: argparse.Namespace) -> int:
    from fedefm.commands.job_options import network_of
    from fedefm.foundation.settings import Settings
    from fedefm.models.published import write_start

    network = network_of(options.model, options.set)
    job = Settings(
        classes=tuple(options.classes.split(",")), size=options.size, model=network
    )  # takes what a job takes
    sha256 = write_start(options.out, job.model, job.classes, job.size, options.seed, options.encoder)
    if options.json:
        print(json.dumps({"file": str(options.out), "sha256": sha256}))
    else:
        print(f"{options.out}  sha256 {sha256}")
    return 0
