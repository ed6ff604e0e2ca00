"""The options that every training command shares, and the settings and hospitals' folders that they lead to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Hospitals, job folder, results and settings."""
    parser.add_argument(
        "--site", action="append", default=[], metavar="NAME=FOLDER", help="a hospital; repeat for each"
    )
    parser.add_argument("--sites", type=Path, metavar="FOLDER", help="a folder with one folder for each hospital")
    add_job(parser)
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/NAME)")
    parser.add_argument("--classes", help="comma-separated foreground classes (default: all that the hospitals name)")
    parser.add_argument("--rounds", type=int, help="communication rounds")
    parser.add_argument("--topology", help="complete, ring, or a .graphml, .gml or .json file")
    parser.add_argument(
        "--model", metavar="ARCHITECTURE:ENCODER", help="such as Unet:resnet18 or DPT:tu-vit_tiny_patch16_224"
    )
    parser.add_argument("--size", type=int, help="side of the images that the network sees, in pixels")
    parser.add_argument("--seed", type=int, help="same seed, same Theta")
    add_device(parser)


def add_job(parser: argparse.ArgumentParser) -> None:
    """The job folder to start from, and single settings of it."""
    parser.add_argument("--job", type=Path, help="FLARE job folder to start from (default: the foundation job)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting of the job's foundation.json"
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """The method whose overlay goes over the job."""
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="FedEFM (fedefm) or what it is compared with, such as fedavg or moon (default: as the job says)",
    )


def add_start(parser: argparse.ArgumentParser) -> None:
    """An earlier Theta to start from."""
    parser.add_argument(
        "--start", type=Path, metavar="WEIGHTS", help="an earlier Theta that every hospital starts from"
    )
    parser.add_argument(
        "--root", type=Path, metavar="PEM", help="the consortium's rootCA.pem: the folder of WEIGHTS must be signed"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """The torch device of every hospital of a run on this machine."""
    parser.add_argument(
        "--device",
        default="cpu",
        help="of all hospitals: cpu, cuda, cuda:NUMBER, or auto for a GPU where there is one (default: %(default)s)",
    )


def named_device(name: str) -> str:
    """A device of this machine by its torch name.

    Raises:
        ConfigError: this machine has no such device.
    """
    from fedefm.models.device import resolve_device

    return str(resolve_device(name))


def resolve_job(options: argparse.Namespace) -> tuple[Any, dict[str, Path]]:
    """Settings from the job folder and the options, and the hospitals' folders; all checked before any work."""
    (settings,), folders = _resolve(options, [options.method])
    return settings, folders


def resolve_methods(options: argparse.Namespace, methods: Sequence[str]) -> tuple[dict[str, Any], dict[str, Path]]:
    """The same with settings for each of several methods, by name.

    Raises:
        ConfigError: a method is unknown or named twice, or the job cannot be used with it.
    """
    if len(set(methods)) != len(methods):
        raise ConfigError("--methods: name each method once")
    settings, folders = _resolve(options, methods)
    return dict(zip(methods, settings, strict=True)), folders


def _resolve(options: argparse.Namespace, methods: Sequence[str | None]) -> tuple[list[Any], dict[str, Path]]:
    from fedefm.data.checks import check_sites
    from fedefm.foundation.initial import start_weights
    from fedefm.foundation.methods import job_settings

    folders = named_folders(options.site, options.sites)
    options.device = named_device(options.device)
    jobs = [job_settings(options.job, method) for method in methods]
    options.theta = _theta_of(options)
    known = None if options.theta is None else list(options.theta.classes)
    classes = check_sites(folders, options.classes.split(",") if options.classes else known)
    warn_of_same_pictures(folders)
    options.out = options.out or free_folder(Path("runs") / options.command)
    named = {"classes": list(classes), "name": options.out.name}
    if options.theta is not None:
        named |= {"model": options.theta.spec.to_dict(), "size": options.theta.size}
    settings = [
        with_given(job.to_dict() | named, _given(options), options.job, method)
        for job, method in zip(jobs, methods, strict=True)
    ]
    for one in settings:
        _check_network(one, folders)
        if options.theta is not None:
            start_weights(one, options.theta)
    return settings, folders


def job_without_data(options: argparse.Namespace, classes: Sequence[str]) -> Any:
    """Settings from the job folder and the options, for hospitals of which no folder is here.

    Args:
        options: of the command line.
        classes: that the hospitals label, where `--classes` names none.
    """
    from fedefm.foundation.methods import job_settings

    named = options.classes.split(",") if options.classes else list(classes)
    plain = job_settings(options.job, options.method).to_dict() | {"classes": named}
    return with_given(plain, _given(options), options.job, options.method)


def warn_of_same_pictures(folders: Mapping[str, Path]) -> None:
    """Say on the terminal where two hospitals hold the same image files: one is tested on what the other trains on."""
    from fedefm.data.overlap import same_files

    for (one, other), files in same_files(folders).items():
        text = f"{one} and {other} share {files} image files: scores of one rest on what the other trained on"
        print(f"fedefm: warning: {text}; see fedefm data overlap", file=sys.stderr)


def _theta_of(options: argparse.Namespace) -> Any:
    """The Theta of `--start`, read and checked; None without one."""
    from fedefm.training.theta import read_theta

    start = getattr(options, "start", None)
    return None if start is None else read_theta(start, options.root)


def with_given(plain: dict[str, Any], given: Iterable[tuple[str, Any]], job: Path | None, method: str | None) -> Any:
    """Settings of a job with what the command line names put over them; a graph of the job by its whole path.

    Raises:
        ConfigError: a wrong key or value, or one that would make another method of the one that is named.
    """
    from fedefm.foundation.methods import settings_file
    from fedefm.foundation.settings import Settings

    before = plain["schedule"]["method"]
    for key, value in given:
        set_key(plain, key, value)
    beside = settings_file(job).parent / str(plain["topology"])
    if beside.is_file():  # a job may bring its own graph
        plain["topology"] = str(beside)
    settings = Settings.from_dict(plain)
    if method is not None and settings.schedule.method != before:
        raise ConfigError(f"--set schedule.method: '{method}' is named already; leave one of the two out")
    return settings


def _check_network(settings: Any, folders: Mapping[str, Path]) -> None:
    """Refuse a graph or a model that would otherwise end a run that has already begun."""
    from fedefm.exchange.topology import resolve
    from fedefm.models.build import build_model

    resolve(settings.topology, sorted(folders))
    build_model(settings.model, len(settings.classes) + 1, settings.size)


def _given(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Settings that the command line names, as dotted keys and values."""
    shortcuts = {"schedule.rounds": "rounds", "schedule.seed": "seed", "topology": "topology", "size": "size"}
    yield from ((key, getattr(options, name)) for key, name in shortcuts.items() if getattr(options, name) is not None)
    if options.model:
        yield "model", _named_network(options.model)
    if getattr(options, "no_lone", False):
        yield "schedule.compare_lone", False
    yield from settings_given(options.set)


def _named_network(text: str) -> dict[str, str]:
    architecture, _, encoder = text.partition(":")
    if not encoder:
        raise ConfigError(f"--model {text}: write ARCHITECTURE:ENCODER, such as Unet:resnet18")
    return {"architecture": architecture, "encoder": encoder}


def network_of(text: str, pairs: Sequence[str]) -> Any:
    """The network of `--model ARCHITECTURE:ENCODER` with its options of `--set model.KEY=VALUE`.

    Raises:
        ConfigError: one is ill-written, or there cannot be such a network.
    """
    from fedefm.models.spec import ModelSpec

    plain: dict[str, Any] = {"model": _named_network(text)}
    for key, value in settings_given(pairs):
        set_key(plain, key, value)
    if wrong := sorted(set(plain) - {"model"}):
        raise ConfigError(f"--set {wrong[0]}: only settings of the network count here, such as model.options")
    return ModelSpec.from_dict(plain["model"])


def settings_given(pairs: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of `--set KEY=VALUE`.

    Raises:
        ConfigError: one is not KEY=VALUE.
    """
    for text in pairs:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text}: write KEY=VALUE, such as distillation.beta=0.3")
        try:
            yield key, json.loads(value)
        except ValueError:
            yield key, value


def set_key(plain: dict[str, Any], key: str, value: Any) -> None:
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


def named_folders(pairs: Sequence[str], parent: Path | None) -> dict[str, Path]:
    """The hospitals of `--site NAME=FOLDER` and `--sites FOLDER`.

    Raises:
        ConfigError: there is none, one is named twice, or an option is not NAME=FOLDER.
    """
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
