"""The `fedefm` command."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError, FedefmError

SETTINGS = Path("app") / "config" / "foundation.json"
SIMULATE_EXAMPLES = """examples:
  fedefm simulate --site a=data/hospital-a --site b=data/hospital-b --out runs/first
  fedefm simulate --sites runs/demo-data --rounds 4 --topology ring --out runs/ring
  fedefm simulate --site a=data/a --site b=data/b --model Segformer:mit_b0 --size 128 --out runs/mit
"""
SYNTH_EXAMPLES = """examples:
  fedefm data synth --out runs/demo-data
  fedefm data synth --out data/small --frames 24 --size 64 --unseen 0.5 --seed 3
"""
CHECK_EXAMPLES = """examples:
  fedefm data check data/hospital-a
  fedefm data check data/hospital-a --json
"""
COMPARE_EXAMPLES = """examples:
  fedefm compare --sites runs/demo-data --out runs/compare
  fedefm compare --sites runs/demo-data --methods fedefm,fedavg --workers 1 --out runs/two
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; every error of ours ends in one line and its own exit code."""
    options = build_parser().parse_args(arguments)
    warnings.showwarning = lambda message, *place, **more: print(f"fedefm: note: {message}", file=sys.stderr)
    try:
        return options.run(options)
    except FedefmError as error:
        print(f"fedefm: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        print(f"fedefm: {error.filename}: {error.strerror}; choose another place or free it", file=sys.stderr)
        return FedefmError.exit_code
    except KeyboardInterrupt:
        print("fedefm: stopped", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="fedefm", description="Federated endovascular foundation models: exchange experts, share no image."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_simulate(commands)
    _add_compare(commands)
    data = commands.add_parser("data", help="make synthetic images, or check a folder of your own")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    _add_synth(kinds)
    _add_check(kinds)
    return parser


def _add_simulate(commands: Any) -> None:
    parser = _command(
        commands, "simulate", "train a foundation model with all hospitals on this machine", SIMULATE_EXAMPLES
    )
    _add_job_options(parser)
    parser.add_argument(
        "--no-lone", action="store_true", help="skip the lone models that each hospital is compared with"
    )
    parser.add_argument(
        "--in-process", action="store_true", help="without FLARE, in this process; gives the same Theta"
    )
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_simulate, command="simulate")


def _add_compare(commands: Any) -> None:
    parser = _command(commands, "compare", "FedEFM beside its baselines at equal gradient steps", COMPARE_EXAMPLES)
    _add_job_options(parser)
    parser.add_argument("--methods", default="fedefm,fedavg,lone", help="comma-separated (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    parser.set_defaults(run=_compare, command="compare")


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    parser.add_argument("--job", type=Path, help="FLARE job folder to start from (default: the foundation job)")
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/NAME)")
    parser.add_argument("--classes", help="comma-separated foreground classes (default: all that the hospitals name)")
    parser.add_argument("--rounds", type=int, help="communication rounds")
    parser.add_argument("--topology", help="complete, ring, or a .graphml, .gml or .json file")
    parser.add_argument(
        "--model", metavar="ARCHITECTURE:ENCODER", help="such as Unet:resnet18 or DPT:tu-vit_tiny_patch16_224"
    )
    parser.add_argument("--size", type=int, help="side of the images that the network sees, in pixels")
    parser.add_argument("--seed", type=int, help="same seed, same Theta")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting of the job's foundation.json"
    )


def _add_synth(commands: Any) -> None:
    parser = _command(commands, "synth", "make labelled synthetic fluoroscopy in four looks", SYNTH_EXAMPLES)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets one folder for each hospital")
    parser.add_argument("--frames", type=int, default=80, help="frames a hospital (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--unseen", type=float, default=1.0, help="share of others' classes that a hospital never labels"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.set_defaults(run=_synth)


def _add_check(commands: Any) -> None:
    parser = _command(
        commands, "check", "read a hospital's folder as training would, and say what is there", CHECK_EXAMPLES
    )
    parser.add_argument("folder", type=Path, help="folder with images/, masks/ and dataset.json")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_check)


def _command(commands: Any, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _version() -> str:
    from importlib.metadata import version

    return f"fedefm {version('fedefm')}"


# The heavy imports stand inside the commands, so that --help answers at once.


def _synth(options: argparse.Namespace) -> int:
    from fedefm.data.synth import write_consortium
    from fedefm.progress import counter

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

    summary = describe_folder(options.folder)
    print(json.dumps(summary.to_json(), indent=2) if options.json else summary)
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from fedefm.progress import Terminal
    from fedefm.report import print_summary, write_report
    from fedefm.simulate import FOUNDATION, check_out, check_site_names, simulate
    from fedefm.summary import finish

    settings, folders = _job(options)
    check_site_names(folders)
    check_out(options.out)
    terminal = Terminal(quiet=options.json)
    if options.in_process:
        report = _in_process(settings, folders, options.out, terminal)
    else:
        report = simulate(settings, folders, options.out, job=options.job or FOUNDATION, on_event=terminal)
    page = write_report(report, finish(settings, options.out, folders), options.out)
    _show(report, page, options.json, print_summary)
    return 0


def _in_process(settings: Any, folders: dict[str, Path], out: Path, on_event: Any) -> dict[str, Any]:
    from fedefm.runner import run_in_process
    from fedefm.summary import save_run

    run = run_in_process(settings, folders, [on_event])
    return save_run(settings, run.state, run.figures, out)


def _compare(options: argparse.Namespace) -> int:
    from fedefm.compare import compare
    from fedefm.progress import Terminal
    from fedefm.report import print_comparison, write_report
    from fedefm.simulate import check_out
    from fedefm.summary import finish

    settings, folders = _job(options)
    check_out(options.out)
    terminals: dict[str, Any] = {}
    report = compare(
        settings,
        folders,
        options.out,
        options.methods.split(","),
        options.workers,
        lambda method, event: terminals.setdefault(method, Terminal(method, quiet=options.json))(event),
    )
    page = write_report(report, finish(settings, options.out / options.methods.split(",")[0], folders), options.out)
    _show(report, page, options.json, print_comparison)
    return 0


def _show(report: dict[str, Any], page: Path, as_json: bool, table: Any) -> None:
    if as_json:
        print(json.dumps(report, indent=2, sort_keys=True))
        return
    table(report)
    print(f"report: {page}")


def _job(options: argparse.Namespace) -> tuple[Any, dict[str, Path]]:
    """Settings from the job folder and the options, and the hospitals' folders; all checked before any work."""
    from fedefm.data.checks import check_sites
    from fedefm.simulate import FOUNDATION
    from fedefm.training.settings import Settings, load_settings

    folders = _folders(options.site, options.sites)
    job = load_settings((options.job or FOUNDATION) / SETTINGS)
    classes = check_sites(folders, options.classes.split(",") if options.classes else None)
    options.out = options.out or free_folder(Path("runs") / options.command)
    plain = job.to_dict() | {"classes": list(classes), "name": options.out.name}
    for key, value in _given(options):
        _set(plain, key, value)
    beside = (options.job or FOUNDATION) / SETTINGS.parent / str(plain["topology"])
    if beside.is_file():  # a job may bring its own graph
        plain["topology"] = str(beside)
    settings = Settings.from_dict(plain)
    _check_network(settings, folders)
    return settings, folders


def _check_network(settings: Any, folders: Mapping[str, Path]) -> None:
    """Refuse a graph or a model that would otherwise end a run that has already begun."""
    from fedefm.exchange.topology import resolve
    from fedefm.models.build import build_model

    resolve(settings.topology, sorted(folders))
    build_model(replace(settings.model, pretrained=None), len(settings.classes) + 1, settings.size)


def _given(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Settings that the command line names, as dotted keys and values."""
    shortcuts = {"schedule.rounds": "rounds", "schedule.seed": "seed", "topology": "topology", "size": "size"}
    yield from ((key, getattr(options, name)) for key, name in shortcuts.items() if getattr(options, name) is not None)
    if options.model:
        architecture, _, encoder = options.model.partition(":")
        if not encoder:
            raise ConfigError(f"--model {options.model}: write ARCHITECTURE:ENCODER, such as Unet:resnet18")
        yield "model", {"architecture": architecture, "encoder": encoder}
    if getattr(options, "no_lone", False):
        yield "schedule.compare_lone", False
    for text in options.set:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text}: write KEY=VALUE, such as distillation.beta=0.3")
        try:
            yield key, json.loads(value)
        except ValueError:
            yield key, value


def _set(plain: dict[str, Any], key: str, value: Any) -> None:
    """Put a value under a dotted key; `Settings` itself refuses keys that it does not know."""
    *path, last = key.split(".")
    for part in path:
        plain = plain.setdefault(part, {})
        if not isinstance(plain, dict):
            raise ConfigError(f"--set {key}: '{part}' has no settings below it")
    plain[last] = value


def free_folder(wanted: Path) -> Path:
    """The folder, or the first of NAME-2, NAME-3 ... that does not exist."""
    candidates = (wanted if k == 1 else wanted.with_name(f"{wanted.name}-{k}") for k in count(1))
    return next(folder for folder in candidates if not folder.exists())


def _folders(pairs: Sequence[str], parent: Path | None) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    if parent is not None:
        if not parent.is_dir():
            raise ConfigError(f"--sites {parent}: no such folder")
        folders = {p.name: p for p in sorted(parent.iterdir()) if p.is_dir() and not p.name.startswith(".")}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise ConfigError(f"--site {pair}: write NAME=FOLDER")
        if name in folders:
            raise ConfigError(f"--site {pair}: '{name}' is named twice")
        folders[name] = Path(folder)
    if not folders:
        raise ConfigError("no hospital: name each with --site NAME=FOLDER, or all with --sites FOLDER")
    return folders


if __name__ == "__main__":
    sys.exit(main())
