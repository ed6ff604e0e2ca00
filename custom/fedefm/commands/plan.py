"""`fedefm plan`: what a job will cost, before there is one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import add_job_options, add_method, job_without_data, named_device, named_folders
from fedefm.commands.parser import add_command
from fedefm.errors import ConfigError

EXAMPLES = """examples:
  fedefm plan --sites runs/demo-data
  fedefm plan --job jobs/foundation --counts hospitals.json --model Unet:resnet34 --size 256 --line 100
  fedefm plan --counts hospitals.json --hours 24 --gb 50 --memory 16 --json
"""

COUNTS = """in place of folders, JSON with what each hospital labels and how many images it has, as data reports tell:
{"a": {"corpus": ["catheter"], "images": 1200}, "b": {"corpus": ["guidewire"], "images": 800}}"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    text = "say what a job will cost: hours, GB and memory, who is unseen to whom, and what to change"
    parser = add_command(commands, "plan", text, EXAMPLES)
    add_job_options(parser)
    add_method(parser)
    parser.add_argument("--counts", type=Path, metavar="FILE", help=COUNTS)
    parser.add_argument("--hours", type=float, default=24.0, help="that the job may take (default: %(default)g)")
    parser.add_argument("--gb", type=float, default=100.0, help="that a hospital may move (default: %(default)g)")
    parser.add_argument("--memory", type=float, default=16.0, help="GB of each machine (default: %(default)g)")
    parser.add_argument(
        "--line", type=float, default=100.0, help="Mbit/s between a hospital and the server (default: %(default)g)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a hospital (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_plan, command="plan")


def _plan(options: argparse.Namespace) -> int:
    from fedefm.foundation.plan import Bounds, census, plan, probe, within

    bounds = Bounds(options.hours, options.gb, options.memory)
    if min(options.hours, options.gb, options.memory, options.line, options.threads) <= 0:
        raise ConfigError("--hours, --gb, --memory, --line and --threads: give more than 0")
    device = named_device(options.device)
    if options.counts is not None:
        if options.site or options.sites:
            raise ConfigError("--counts stands in place of --site and --sites; leave one of them out")
        known = read_counts(options.counts)
    else:
        known = census(named_folders(options.site, options.sites))
    settings = job_without_data(options, sorted({name for one in known.values() for name in one.corpus}))
    known = within(known, settings.classes)
    found = plan(settings, known, probe(settings, device, threads=options.threads), bounds, options.line * 1e6 / 8)
    print(json.dumps(found, indent=2, sort_keys=True) if options.json else text_of(found))
    return 0


def read_counts(path: Path) -> dict[str, Any]:
    """Label corpora and images of hospitals, from a file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    from fedefm.exchange.clocks import Known
    from fedefm.simulation.workspace import is_site_name

    try:
        plain = json.loads(path.read_text())
        known = {name: Known(tuple(_list(one["corpus"])), one["images"]) for name, one in plain.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: no JSON object of hospitals with 'corpus' and 'images'; see --help") from error
    for name, one in known.items():
        texts = bool(one.corpus) and all(isinstance(label, str) and label for label in one.corpus)
        if not (is_site_name(name) and texts and type(one.images) is int and one.images >= 0):
            raise ConfigError(f"{path}: '{name[:60]}' needs a name, the classes that it labels, and a whole number")
    if not known:
        raise ConfigError(f"{path}: names no hospital")
    return known


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def text_of(found: Mapping[str, Any]) -> str:
    """The plan for a person."""
    lines = [f"{'hospital':<16}{'images':>8}{'passes':>8}{'hours':>8}{'GB':>8}{'memory':>8}  unseen, and who labels it"]
    for name, one in found["hospitals"].items():
        taught = "; ".join(f"{label} ({', '.join(others)})" for label, others in one["unseen"].items()) or "-"
        figures = f"{one['images']:>8}{one['passes']:>8.1f}{one['hours']:>8.2f}{one['gb']:>8.2f}"
        lines.append(f"{name:<16}{figures}{one['memory_gb']:>8.1f}  {taught}")
    server = found["server"]
    lines.append(f"{'server':<16}{'':>8}{'':>8}{found['hours']:>8.2f}{server['gb']:>8.2f}{server['memory_gb']:>8.1f}")
    lines.append(f"a model has {found['model_mb']:.1f} MB; the least possible is {found['least_gb']:.2f} GB in all")
    lines.append("hours: the server's are the whole job, a hospital's its own work; GB of memory at most")
    lines += found["advice"] or ["all fits"]
    return "\n".join(lines)
