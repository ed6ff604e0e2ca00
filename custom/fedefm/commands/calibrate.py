"""`fedefm calibrate`: how sure to be of weights, and what they have seen."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm calibrate theta.safetensors --site human=data/human --out theta-here.safetensors
  fedefm calibrate runs/demo/theta.safetensors --sites runs/demo-data --out runs/demo/calibrated.safetensors --json

The weights and their fingerprint stay the same. The header gets figures of all images together: see
docs/your-images.md before such a file leaves the hospital.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "measure how sure to be of weights, and what images look like here; segment tells both then"
    parser = add_command(commands, "calibrate", text, EXAMPLES)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="weights, such as theta.safetensors")
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new file")
    text = "figures of fewer images are not kept (default: %(default)s)"
    parser.add_argument("--least-images", type=int, default=5, metavar="N", help=text)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:NUMBER (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print what was measured for machines")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    from fedefm.commands.job_options import named_folders
    from fedefm.training.calibrate import calibrate

    folders = named_folders(options.site, options.sites)
    found = calibrate(options.weights, folders, options.out, least=options.least_images, device=options.device)
    print(json.dumps(found.to_dict(), indent=2) if options.json else "\n".join(_lines(found, len(folders))))
    if not options.json:
        print(f"{options.out}  the same weights, with these figures in their header")
    return 0


def _lines(found: Any, hospitals: int) -> list[str]:
    sure = found.confidence
    lines = ["confidence: not measured; too few images with marks, or all marks are right, or all wrong"]
    if sure is not None:
        errors = f"{sure.error_before:.3f} before, {sure.error_after:.3f} after"
        lines = [f"confidence: expected calibration error {errors}, on {sure.images} validation images"]
    if not found.looks:
        return [*lines, "familiar images: not measured; too few images"]
    images = sum(look.images for look in found.looks)
    return [*lines, f"familiar images: of {len(found.looks)} of {hospitals} hospitals, {images} training images"]
