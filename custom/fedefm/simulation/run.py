"""A foundation job on this machine with its report: what the command `fedefm simulate` does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.flare.job_folder import FOUNDATION
from fedefm.foundation.overlays import finish
from fedefm.foundation.record import save_run
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import Checkpoint
from fedefm.report.write import JSON_NAME, write_report
from fedefm.simulation.foundation import simulate as simulate_in_flare
from fedefm.simulation.interrupted import Started, check_finished, kept_while_it_runs, read_started, started
from fedefm.simulation.workspace import RESULTS, check_out, check_site_names
from fedefm.training.kept import FOLDER
from fedefm.training.theta import read_theta


def simulate(
    settings: Settings,
    folders: Mapping[str, str | Path],
    out: str | Path,
    *,
    simulator: bool = True,
    job: Path = FOUNDATION,
    device: str = "cpu",
    theta: Checkpoint | None = None,
    on_event: Listener = lambda event: None,
) -> dict[str, Any]:
    """Train a foundation model with all hospitals on this machine, and write its report.

        settings = fedefm.Settings(classes=("catheter", "guidewire"), schedule=fedefm.Schedule(rounds=2))
        report = fedefm.simulate(settings, {"a": "data/a", "b": "data/b"}, "runs/first", simulator=False)
        model = fedefm.load("runs/first/theta.safetensors")

    Args:
        settings: the job.
        folders: data folder of every hospital, by its name.
        out: folder for `theta.safetensors`, `models/`, `report.json` and the page `report.html`.
        simulator: run in FLARE's simulator, one process a hospital; else in this process, with the same Theta.
        job: FLARE job folder that the simulator runs with these settings.
        device: torch device of all hospitals.
        theta: an earlier Theta to start from (`read_theta`); None starts from the seed.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`; the paths in it are relative to `out`.

    Raises:
        ConfigError: a wrong site name, a missing data folder, `out` already holds a run, or a setting that the run
            cannot use.
        FedefmError: the run failed; the message says why, and how to go on if a round was finished.
    """
    sites, place = {name: Path(folder) for name, folder in folders.items()}, Path(out)
    check_site_names(sites)
    check_finished(place)
    check_out(place)
    run = started(settings, sites, simulator=simulator, job=job, device=device, theta=theta)
    return _run(run, place, theta, on_event)


def resume(out: Path, on_event: Listener = lambda event: None) -> dict[str, Any]:
    """Go on with a run that was interrupted, from its last whole round, as it was started.

    Args:
        out: folder of the run.
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`.

    Raises:
        ConfigError: there is no such run, or data or versions changed, so that its Theta would be another one.
        CheckpointError: all rounds that were kept are damaged.
        FedefmError: the run failed; the message says why.
    """
    run = read_started(out)
    if (out / JSON_NAME).is_file():  # written last: nothing is left to do
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        return json.loads((out / JSON_NAME).read_text())
    run.check()
    theta = read_theta(Path(run.theta)) if run.theta else None
    return _run(run, out, theta, on_event)


def _run(run: Started, out: Path, theta: Checkpoint | None, on_event: Listener) -> dict[str, Any]:
    """Train, publish, and only then let the rounds go."""
    settings, sites = run.settings, run.sites
    with kept_while_it_runs(out, run) as keep:
        for part in RESULTS:  # of a run that was killed while it wrote them
            _remove(out / part)
        if run.simulator:
            report = simulate_in_flare(
                settings, sites, out, job=Path(run.job), device=run.device, on_event=on_event, theta=theta, keep=keep
            )
        else:
            found = run_in_process(settings, sites, [on_event], device=run.device, theta=theta, keep=keep)
            report = save_run(found.settings, found.state, found.figures, out)
        write_report(report, finish(settings, out, sites), out)
    return report


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
