"""A foundation job on this machine with its report: what the command `fedefm simulate` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedefm.exchange.events import Listener
from fedefm.flare.job_folder import FOUNDATION
from fedefm.foundation.overlays import finish
from fedefm.foundation.record import save_run
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.report.write import write_report
from fedefm.simulation.foundation import simulate as simulate_in_flare
from fedefm.simulation.workspace import check_out, check_site_names


def simulate(
    settings: Settings,
    folders: Mapping[str, str | Path],
    out: str | Path,
    *,
    simulator: bool = True,
    job: Path = FOUNDATION,
    device: str = "cpu",
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
        on_event: told every event as it happens.

    Returns:
        The content of `report.json`; the paths in it are relative to `out`.

    Raises:
        ConfigError: a wrong site name, a missing data folder, `out` already holds a run, or a setting that the run
            cannot use.
        FedefmError: the run failed; the message says why.
    """
    sites, place = {name: Path(folder) for name, folder in folders.items()}, Path(out)
    if simulator:
        report = simulate_in_flare(settings, sites, place, job=job, device=device, on_event=on_event)
    else:
        check_site_names(sites)
        check_out(place)
        run = run_in_process(settings, sites, [on_event], device=device)
        report = save_run(settings, run.state, run.figures, place)
    write_report(report, finish(settings, place, sites), place)
    return report
