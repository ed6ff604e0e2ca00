"""One case from its images to its result."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import HONEST, Case, Definition
from benchmarks.fixed.settings import case_settings

from fedefm.data.dataset import load_site
from fedefm.exchange.events import Event, TaskDone
from fedefm.exchange.messages import TRAINING
from fedefm.exchange.record import mean
from fedefm.foundation.record import versions
from fedefm.foundation.run import FoundationRun, run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import Weights, build_model
from fedefm.training.scores import mean_dice, score

SCHEMA = 1


class StepCounter:
    """A listener that sums the gradient steps that each hospital really took."""

    def __init__(self) -> None:
        self.by_site: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TaskDone) and event.task.stage in TRAINING:
            self.by_site[event.task.site] += event.task.steps


def run_case(definition: Definition, case: Case, images: Images, device: str = "cpu") -> dict[str, Any]:
    """Run a case and give its result, as JSON-able values.

    Raises:
        FedefmError: the run failed, or a hospital was lost on the way.
    """
    folders, settings, steps = images.of(definition, case), case_settings(definition, case), StepCounter()
    run = run_in_process(settings, folders, [steps], device=device)
    dice, honest = run.figures["dice"], honest_sites(definition, case, sorted(folders))
    return {
        "schema": SCHEMA,
        "key": case.key,
        "case": vars(case),
        "definition": definition.sha256(case.consortium),
        "config": plain_config(settings),
        "machine": machine(device),
        "versions": versions(),
        "synthetic": run.figures["synthetic"],
        "corpora": run.figures["corpora"],
        "steps": dict(sorted(steps.by_site.items())),
        "bytes": run.figures["bytes"],
        "seconds": run.figures["seconds"],
        "lost": run.figures["lost"],
        "theta_sha256": None if run.state.theta is None else weights_sha256(run.state.theta),
        "dice": {
            "test": mean(value for site in honest for value in scored(dice, site).values()),
            "validation": validation_dice(run, images.all_labels(definition, case), honest),
            "own": mean(v for site in honest for v in dice["by_model"].get(site, {}).get(site, {}).values()),
            "by_site": {site: scored(dice, site) for site in sorted(folders)},
        },
        "similarity": run.figures["emd_similarity"],
    }


def honest_sites(definition: Definition, case: Case, sites: list[str]) -> list[str]:
    """The hospitals that count: all but the bad one."""
    return [site for site in sites if case.scenario == HONEST or site != definition.plain["bad_site"]]


def scored(dice: Mapping[str, Any], site: str) -> Mapping[str, float | None]:
    """Test Dice by class at a site: Theta's, or of the site's own model where the method has no Theta."""
    return dice["by_site"].get(site) or dice["by_model"][site][site]


def validation_dice(run: FoundationRun, folders: Mapping[str, Path], sites: list[str]) -> float | None:
    """Mean Dice on the validation frames of these hospitals; settings are chosen by it."""
    settings = run.settings
    model = build_model(settings.model, len(settings.classes) + 1, settings.size)
    values = []
    for site in sites:
        weights: Weights = run.state.silos[site] if run.state.theta is None else run.state.theta
        model.load_state_dict(weights)
        data = load_site(folders[site], settings.classes, settings.size)
        values.append(mean_dice(score(model, data.val, settings.classes, data.corpus)))
    return mean(values)


def plain_config(settings: Settings) -> dict[str, Any]:
    """The settings without the place of a file on this machine."""
    plain = settings.to_dict()
    return plain | {"topology": Path(plain["topology"]).name}


def machine(device: str) -> dict[str, Any]:
    """What computed the result, without the name of the machine."""
    kind = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return {"processor": kind, "device": device, "cores": os.cpu_count(), "system": platform.system()}


def processor() -> str:
    """The processor's model, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
