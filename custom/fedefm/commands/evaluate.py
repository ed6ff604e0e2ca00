"""`fedefm evaluate`: every model at every hospital."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.job_options import add_device, named_device
from fedefm.commands.parser import add_command

EXAMPLES = """examples:
  fedefm evaluate --run runs/demo --run runs/tuned --sites runs/demo-data --out runs/evaluated
  fedefm evaluate --run runs/tuned --site a=data/a --leave-out-proposed --out runs/evaluated
  fedefm evaluate --model theta=theta.safetensors --model tuned=tuned.safetensors --site a=data/a --in-process
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "evaluate", "measure every model on every hospital's test images", EXAMPLES)
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        type=Path,
        dest="runs",
        metavar="FOLDER",
        help="all weights of a finished run; repeat for each",
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=WEIGHTS", help="one file of weights; repeat for each"
    )
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    parser.add_argument("--job", type=Path, help="FLARE job folder to start from (default: the evaluation job)")
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/evaluation)")
    parser.add_argument("--least-images", type=int, help="figures of fewer images stay at a hospital (default: 5)")
    text = "do not count test images whose masks one of these models proposed, or one that its report.json names as its"
    text += " origin (corrections by fedefm data add); the report says how many"
    parser.add_argument("--leave-out-proposed", action="store_true", help=text)
    add_device(parser)
    parser.add_argument("--in-process", action="store_true", help="without FLARE, in this process; the same figures")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.report.evaluation import print_evaluation
    from fedefm.simulation.evaluation import EVALUATION, measure

    settings, folders, models = _resolve(options)
    record = measure(
        settings,
        folders,
        models,
        options.out,
        simulator=not options.in_process,
        job=options.job or EVALUATION,
        device=named_device(options.device),
        on_event=Terminal(quiet=options.json),
    )
    if options.json:
        print(json.dumps(record, indent=2, sort_keys=True))
    else:
        print_evaluation(record, folder=options.out)
    return 0


def _resolve(options: argparse.Namespace) -> tuple[Any, dict[str, Path], dict[str, Any]]:
    """Settings from the job folder, the first model's header and the options, checked before any work; the models."""
    from fedefm.commands.job_options import free_folder, named_folders, warn_of_same_pictures
    from fedefm.data.checks import check_sites
    from fedefm.evaluation.models import read_models
    from fedefm.evaluation.settings import SETTINGS_FILE, Evaluation, load_evaluation
    from fedefm.resources import JOB_CONFIG
    from fedefm.simulation.evaluation import EVALUATION

    files = _files(options)
    folders = named_folders(options.site, options.sites)
    options.out = options.out or free_folder(Path("runs") / "evaluation")
    plain = load_evaluation((options.job or EVALUATION) / JOB_CONFIG / SETTINGS_FILE).to_dict()
    models = read_models(files)
    first = next(iter(models.values()))
    check_sites(folders, list(first.classes))
    warn_of_same_pictures(folders)
    plain |= {"model": first.spec.to_dict(), "size": first.size, "classes": list(first.classes)}
    plain |= {"name": options.out.name, "models": list(models)}
    if options.least_images is not None:
        plain["least_images"] = options.least_images
    if options.leave_out_proposed:
        plain["leave_out_proposed_by"] = sorted(_proposers(models))
    return Evaluation.from_dict(plain), folders, models


def _proposers(models: dict[str, Any]) -> set[str]:
    """Fingerprints of the models, and of those that they come from as far as the reports beside them say."""
    from fedefm.report.origin import ancestors

    found = {model.sha256 for model in models.values()}
    return found.union(*(ancestors(model.file, model.sha256) for model in models.values()))


def _files(options: argparse.Namespace) -> dict[str, Path]:
    """Files of `--run` and `--model`, by the names of the models.

    Raises:
        ConfigError: there is none, one is not NAME=WEIGHTS, or two have the same name.
    """
    from fedefm.errors import ConfigError
    from fedefm.evaluation.models import files_of

    pairs = [(name, path) for folder in options.runs for name, path in files_of(folder).items()]
    for text in options.model:
        name, sign, path = text.partition("=")
        if not sign or not name or not path:
            raise ConfigError(f"--model {text}: write NAME=WEIGHTS")
        pairs.append((name, Path(path)))
    if not pairs:
        raise ConfigError("no model: name runs with --run FOLDER, or files with --model NAME=WEIGHTS")
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two models are named '{twice}'; give one another name with --model NAME=WEIGHTS")
    return dict(pairs)
