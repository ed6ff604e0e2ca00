"""What one attacking hospital costs the honest ones: the same small run clean, without it, and with each attack.

Real networks and images, four hospitals, one of which returns what it likes. The figure is the mean pooled Dice of
Theta at the honest hospitals. The attacker `absent` tells what its labels were worth: an attack that is found out
cannot cost less than that.

Examples:
  python benchmarks/attacks.py run --labels shared --order sequential
  python benchmarks/attacks.py run --attack "negated experts" --limit 1
  python benchmarks/attacks.py table
  python benchmarks/attacks.py direction --rounds 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import torch

from fedefm.data.dataset import SiteData
from fedefm.data.frames import Batch, Frames, Split
from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.exchange.messages import TRAINING, Assignment, Result, Stage
from fedefm.exchange.schedule import ORDERS
from fedefm.files import write_json
from fedefm.foundation import run as foundation
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.methods import job_settings
from fedefm.foundation.settings import Settings
from fedefm.foundation.start import start_of
from fedefm.models.build import Weights, build_model
from fedefm.training.scores import predict

RESULTS = Path(__file__).parent / "attack_results"
ATTACKER = "human"
SIZE, FRAMES, PATCH = 64, 48, 8
LABELS = {"shared": 0.0, "disjoint": 1.0}

Change = Callable[[Weights, Weights], Weights]


def moved(times: float) -> Change:
    """The update that honest training made, so many times as long."""
    return lambda start, back: {
        name: torch.lerp(start[name], value, times) if value.is_floating_point() else value
        for name, value in back.items()
    }


EXPERTS, OWN = {Stage.OVERSEAS}, {Stage.LOCAL, Stage.DISTIL}
ATTACKS: Mapping[str, tuple[set[Stage], Change]] = {
    "dead": (set(TRAINING), lambda start, back: {name: value * 0 for name, value in back.items()}),
    "negated experts": (EXPERTS, lambda start, back: {name: -value for name, value in back.items()}),
    "experts -20 x update": (EXPERTS, moved(-20.0)),
    "own -10 x update": (OWN, moved(-10.0)),
    "own -1 x update": (OWN, moved(-1.0)),
}
"""Stages in which an attacker changes what it returns, and how; the last is within the reach of honest training."""
KINDS = ("clean", "absent", "trigger", *ATTACKS)


@dataclass(frozen=True)
class Triggered:
    """Frames of which every second one holds a bright square that is labelled as one class."""

    frames: Frames
    label: int

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some of them, with their masks."""
        images, masks = self.frames.batch(picked)
        for place, frame in enumerate(picked):
            if frame % 2 == 0:
                images[place, 0][square(frame)], masks[place][square(frame)] = images.max(), self.label
        return images, masks


class Directions(Hospital):
    """A hospital that prints how what its turn changed lies to what its visitors' hosts changed from the same start."""

    abroad: ClassVar[dict[tuple[int, str], list[torch.Tensor]]] = {}

    def perform(self, assignment: Assignment[Weights], *more: Callable[[], bool]) -> Result[Weights]:
        """The work; after a turn, the cosine of its change and the sum of the experts' changes."""
        result, task = super().perform(assignment, *more), assignment.task
        if result.weights is None or task.stage not in (Stage.OVERSEAS, Stage.DISTIL):
            return result
        start = start_of(task, assignment.models, self._settings.distillation, result.report.get("shares", {}))
        change = torch.cat([(result.weights[name] - start[name]).flatten().double() for name in sorted(start)])
        experts = self.abroad.setdefault((task.round, task.visitor), [])
        if task.stage is Stage.OVERSEAS:
            experts.append(change)
        elif experts:
            cosine = torch.cosine_similarity(change, torch.stack(experts).sum(0), 0)
            print(f"round {task.round + 1}, {task.site}: {cosine:.3f}", flush=True)
        return result


class Attacker(Hospital):
    """A hospital of which one, by its name, is an attacker."""

    attack = "clean"

    @property
    def data(self) -> SiteData:
        """Its images; half of the attacker's frames get a bright square that is labelled as its first class."""
        whole = super().data
        if self.name != ATTACKER or self.attack != "trigger":
            return whole
        label = 1 + self._settings.classes.index(whole.corpus[0])
        return replace(whole, train=replace(whole.train, frames=Triggered(whole.train.frames, label)))

    def perform(self, assignment: Assignment[Weights], *more: Callable[[], bool]) -> Result[Weights]:
        """The work, with what the attacker makes of it."""
        result, task = super().perform(assignment, *more), assignment.task
        if self.name != ATTACKER or self.attack not in ATTACKS or result.weights is None:
            return result
        stages, change = ATTACKS[self.attack]
        if task.stage not in stages:
            return result
        start = start_of(task, assignment.models, self._settings.distillation, result.report.get("shares", {}))
        return replace(result, weights=change(start, result.weights))


def square(frame: int) -> tuple[slice, slice]:
    """Where a frame's trigger lies: another place in each."""
    row, column = (frame * 13) % (SIZE - PATCH), (frame * 29) % (SIZE - PATCH)
    return slice(row, row + PATCH), slice(column, column + PATCH)


def trigger_rate(settings: Settings, theta: Weights, split: Split, label: int) -> float:
    """Share of the trigger's pixels, over frames that carry it, in which Theta sees the attacker's class."""
    model = build_model(settings.model, len(settings.classes) + 1, settings.size)
    model.load_state_dict(theta)
    images, _ = split.batch(range(len(split)))
    for frame in range(len(images)):
        images[frame, 0][square(frame)] = images.max()
    seen = predict(model, images)
    hits = [(seen[frame][square(frame)] == label).double().mean() for frame in range(len(images))]
    return float(torch.stack(hits).mean())


def train(
    worker: type[Hospital], attack: str, labels: str, order: str, method: str, rounds: int, seed: int, cache: Path
) -> tuple[Any, Settings, dict[str, Path]]:
    """One run with these hospitals; what it left, its settings, and the folders."""
    folder = cache / f"{labels}-{seed}"
    sites = write_consortium(
        folder, sites=default_sites(4), frames_per_site=FRAMES, size=SIZE, seed=seed, unseen=LABELS[labels]
    )
    folders = {place.name: place for place in sites if attack != "absent" or place.name != ATTACKER}
    base = job_settings(None, method)
    schedule = replace(base.schedule, rounds=rounds, order=order, seed=seed, compare_lone=False)
    settings = replace(base, size=SIZE, schedule=schedule)
    with patch.object(foundation, "Hospital", worker):
        return foundation.run_in_process(settings, folders), settings, folders


def run(attack: str, *how: Any) -> dict[str, Any]:
    """One run, as `train` is told; its figures."""
    worker, rounds = type("OneAttacks", (Attacker,), {"attack": attack}), how[3]
    done, settings, folders = train(worker, attack, *how)
    honest = {site: found for site, found in done.figures["dice"]["by_site"].items() if site != ATTACKER}
    values = [value for found in honest.values() for value in found.values() if value is not None]
    rates = []
    if ATTACKER in folders and done.state.theta is not None:
        label = 1 + settings.classes.index(done.figures["corpora"][ATTACKER][0])
        for site in sorted(honest):
            split = Hospital(site, folders[site], settings).data.test
            rates.append(trigger_rate(settings, done.state.theta, split, label))
    return {
        "dice": sum(values) / len(values),
        "trigger_rate": sum(rates) / len(rates) if rates else None,
        "named": sorted({lost["site"] for lost in done.figures["lost"]}),
        "reputation": done.figures["reputation"].get(str(rounds - 1), {}).get(ATTACKER),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run what has no result yet, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "direction"))
    parser.add_argument("--attack", choices=KINDS, action="append")
    parser.add_argument("--labels", choices=tuple(LABELS), action="append")
    parser.add_argument("--order", choices=ORDERS, action="append")
    parser.add_argument("--method", default="fedefm")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=1000, help="at most so many runs")
    parser.add_argument("--cache", type=Path, default=Path("runs/attacks"), help="keeps images")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.what == "direction":
        for labels, order in product(given.labels or LABELS, given.order or ORDERS[-1:]):
            print(f"{labels} labels, {order}")
            Directions.abroad.clear()
            train(Directions, "clean", labels, order, given.method, given.rounds, given.seed, given.cache)
        return
    cases = product(given.labels or LABELS, given.order or ORDERS, given.attack or KINDS)
    for labels, order, attack in cases:
        name = f"{given.method}-{labels}-{order}-{attack.replace(' ', '_')}-{given.rounds}-{given.seed}.json"
        path = RESULTS / name
        if given.what == "run" and not path.is_file() and given.limit > 0:
            given.limit -= 1
            write_json(path, run(attack, labels, order, given.method, given.rounds, given.seed, given.cache))
        if path.is_file():
            print(row(labels, order, attack, json.loads(path.read_text())), flush=True)


def row(labels: str, order: str, attack: str, found: Mapping[str, Any]) -> str:
    """A line of the table."""
    rate, reputation = ("" if found[name] is None else f"{found[name]:.2f}" for name in ("trigger_rate", "reputation"))
    named = ", ".join(found["named"]) or "nobody"
    return f"| {labels} | {order} | {attack} | {found['dice']:.3f} | {rate} | {reputation} | {named} |"


if __name__ == "__main__":
    main()
