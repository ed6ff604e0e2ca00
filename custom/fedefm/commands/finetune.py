"""`fedefm finetune`: from Theta to a model for a hospital's own task."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import add_device, named_device
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm finetune --theta runs/demo/theta.safetensors --site human=runs/demo-data/human --out runs/tuned
  fedefm finetune --theta theta.safetensors --sites data --mode lora --labels 0.1 --metric dice/guidewire
  fedefm finetune --theta theta.safetensors --site a=data/a --local-only --steps 400 --patience 2
  fedefm finetune --theta theta.safetensors --site a=ranzcr --task classification --metric auc
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "finetune", "fine-tune Theta with few labels, on this machine", EXAMPLES)
    parser.add_argument("--theta", type=Path, metavar="WEIGHTS", help="where to start (default: random weights)")
    parser.add_argument(
        "--root", type=Path, metavar="PEM", help="the consortium's rootCA.pem: the folder of WEIGHTS must be signed"
    )
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    parser.add_argument("--job", type=Path, help="FLARE job folder to start from (default: the fine-tune job)")
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/finetune)")
    parser.add_argument("--classes", help="comma-separated foreground classes (default: all that the hospitals name)")
    parser.add_argument("--task", choices=("segmentation", "classification"), help="default: segmentation")
    parser.add_argument("--mode", choices=("full", "head", "lora"), help="which weights learn")
    parser.add_argument("--local-only", action="store_true", help="each hospital tunes alone; only figures leave it")
    parser.add_argument("--steps", type=int, help="gradient steps at each hospital")
    parser.add_argument("--rounds", type=int, help="checks on the validation images, and averages")
    parser.add_argument("--labels", type=float, metavar="SHARE", help="share of the labelled patients to use")
    parser.add_argument("--metric", help="chooses the best weights: dice (pooled), dice/guidewire, auc, loss or last")
    parser.add_argument("--patience", type=int, help="stop after so many rounds without a better metric")
    parser.add_argument("--seed", type=int, help="same seed, same weights")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting of the job's finetune.json"
    )
    add_device(parser)
    parser.add_argument("--in-process", action="store_true", help="without FLARE, in this process; the same weights")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_finetune)


def _finetune(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.report.tuned import print_tuned
    from fedefm.report.write import HTML_NAME
    from fedefm.simulation.finetune import FINETUNE, fine_tune

    settings, folders, theta = _resolve(options)
    record = fine_tune(
        settings,
        folders,
        theta,
        options.out,
        simulator=not options.in_process,
        job=options.job or FINETUNE,
        device=named_device(options.device),
        on_event=Terminal(quiet=options.json),
    )
    if options.json:
        print(json.dumps(record, indent=2, sort_keys=True))
    else:
        print_tuned(record, folder=options.out)
        print(f"report: {options.out / HTML_NAME}")
    return 0


def _resolve(options: argparse.Namespace) -> tuple[Any, dict[str, Path], Any]:
    """Settings from the job folder, Theta's header and the options, all checked before any work; and Theta, read."""
    from fedefm.commands.job_options import free_folder, named_folders, set_key, settings_given
    from fedefm.finetune.settings import CLASSIFICATION, SETTINGS_FILE, FineTune, load_finetune
    from fedefm.finetune.sites import agree_on_classes
    from fedefm.models.build import build_model
    from fedefm.resources import JOB_CONFIG
    from fedefm.simulation.finetune import FINETUNE
    from fedefm.training.theta import read_theta

    folders = named_folders(options.site, options.sites)
    options.out = options.out or free_folder(Path("runs") / "finetune")
    plain = load_finetune((options.job or FINETUNE) / JOB_CONFIG / SETTINGS_FILE).to_dict()
    plain["name"], plain["theta"] = options.out.name, ""
    theta = read_theta(options.theta, options.root) if options.theta else None
    if theta is not None:
        plain |= {"model": theta.spec.to_dict(), "size": theta.size, "theta_sha256": theta.sha256}
    for key in ("task", "mode", "steps", "rounds", "labels", "metric", "patience", "seed"):
        if getattr(options, key) is not None:
            plain[key] = getattr(options, key)
    plain["federated"] = plain["federated"] and not options.local_only
    if options.metric is None and plain["task"] == CLASSIFICATION:
        plain["metric"] = "auc"
    named = options.classes.split(",") if options.classes else None
    plain["classes"] = list(agree_on_classes(folders, named, plain["task"]))
    for key, value in settings_given(options.set):
        set_key(plain, key, value)
    settings = FineTune.from_dict(plain)
    build_model(settings.model, len(settings.classes) + 1, settings.size)
    return settings, folders, theta
