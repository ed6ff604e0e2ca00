"""How few labels a hospital needs that took no part in the foundation training.

    python benchmarks/few_shot.py [--limit 10] [--workers 2]        run what is missing; may be stopped at any time
    python benchmarks/few_shot.py --list                            say what is missing
    python benchmarks/few_shot_page.py                              write docs/few-shot.md and its plot

The hospital has the look that the generator holds back. It fine-tunes from the Theta of FedEFM, from that of FedAvg,
and from random weights, at equal gradient steps, with a share of its labelled patients. `few_shot.json` fixes all of
it. Learning rate and layer-wise decay are chosen for each start and number of steps by the Dice of the validation
frames. The whole curve is run at the last number of steps, the share of the search at all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import Case, load_definition
from benchmarks.fixed.run import machine, plain_config
from benchmarks.fixed.settings import case_settings

from fedefm.data.synth import CLASSES, write_site
from fedefm.files import write_json
from fedefm.finetune.rounds import tune_in_process
from fedefm.finetune.settings import FineTune
from fedefm.foundation.record import versions
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.training.optimisation import Optimisation

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "few_shot.json").read_text())
RESULTS = HERE / "results" / "few_shot.json"
SCRATCH = "scratch"
STARTS = (*PLAN["foundations"], SCRATCH)
SITE = PLAN["hospital"]["look"]


@dataclass(frozen=True)
class Point:
    """One fine-tuning: where it starts, its steps and share of the labels, and the two settings that are searched."""

    start: str
    seed: int
    steps: int
    share: float
    learning_rate: float
    decay: float

    @property
    def key(self) -> str:
        """Names the result."""
        place = f"{self.start}-seed{self.seed}-steps{self.steps}-share{self.share:g}"
        return f"{place}-rate{self.learning_rate:g}-decay{self.decay:g}"


# --- the foundation runs ---------------------------------------------------------------------------------------------


def foundation(start: str, seed: int) -> tuple[Settings, Case]:
    """Settings of a foundation run: those of the fixed benchmark, which are the demo's."""
    definition, case = load_definition(HERE), Case("four", start, PLAN["unseen"], seed)
    return case_settings(definition, case), case


def theta_path(cache: Path, start: str, seed: int) -> Path:
    """Where a foundation run's Theta is kept; other settings of its job give another name."""
    plain = {k: v for k, v in plain_config(foundation(start, seed)[0]).items() if k != "name"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return cache / f"theta-{start}-seed{seed}-{digest[:12]}.safetensors"


def train_theta(cache: Path, start: str, seed: int) -> str:
    """Run a foundation job in this process, in one thread, and keep its Theta."""
    torch.set_num_threads(1)
    settings, case = foundation(start, seed)
    run = run_in_process(settings, Images(cache).of(load_definition(HERE), case))
    if run.state.theta is None or run.figures["lost"]:
        raise SystemExit(f"{start}, seed {seed}: a hospital was lost; run again")
    path = theta_path(cache, start, seed)
    save_weights(path, run.state.theta, spec=settings.model, classes=settings.classes, size=settings.size)
    return path.name


# --- the fine-tunings ------------------------------------------------------------------------------------------------


def hospital(cache: Path, seed: int) -> Path:
    """The held-back hospital's folder, all classes labelled."""
    folder, settings = cache / f"{SITE}-seed{seed}", foundation(PLAN["foundations"][0], seed)[0]
    write_site(folder, SITE, frames=PLAN["hospital"]["frames"], size=settings.size, seed=1000 + seed, corpus=CLASSES)
    return folder


def tune_point(cache: Path, point: Point) -> dict[str, Any]:
    """Fine-tune once; Dice of the held-back hospital's frames before and after."""
    torch.set_num_threads(1)
    base, _ = foundation(PLAN["foundations"][0], point.seed)
    theta = None if point.start == SCRATCH else load_weights(theta_path(cache, point.start, point.seed))
    settings = FineTune(
        classes=base.classes,
        model=base.model,
        size=base.size,
        steps=point.steps,
        rounds=PLAN["rounds"],
        labels=point.share,
        seed=point.seed,
        encoder_rate=point.decay**2,
        decoder_rate=point.decay,
        optimisation=Optimisation(**{**vars(base.optimisation), "learning_rate": point.learning_rate}),
    )
    figures = tune_in_process(settings, {SITE: cache / f"{SITE}-seed{point.seed}"}, theta).figures
    scores = figures["scores"][SITE]
    return {
        "point": vars(point),
        "theta_sha256": theta and theta.sha256,
        "validation": figures["best"]["value"],
        "before": {name: scores["start"][name]["dice"] for name in settings.classes},
        "test": {name: scores["tuned"][name]["dice"] for name in settings.classes},
        "images": figures["images"][SITE],
        "round": figures["best"]["round"],
    }


# --- what is left, and what counts -----------------------------------------------------------------------------------


def plan_sha256() -> str:
    """Hash of the definition."""
    return hashlib.sha256(json.dumps(PLAN, sort_keys=True).encode()).hexdigest()


def read_results() -> dict[str, Any]:
    """Results of this definition, or none."""
    empty = {"schema": 1, "synthetic": True, "plan": PLAN, "plan_sha256": plan_sha256(), "runs": {}}
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else empty
    return found if found["plan_sha256"] == plan_sha256() else empty


def missing_thetas(cache: Path) -> list[tuple[str, int]]:
    """Foundation runs without a Theta in the cache."""
    wanted = ((start, seed) for seed in PLAN["seeds"] for start in PLAN["foundations"])
    return [(start, seed) for start, seed in wanted if not theta_path(cache, start, seed).is_file()]


def search_points(start: str, steps: int) -> Iterator[Point]:
    """Every setting of the search, at every seed of it."""
    search = PLAN["search"]
    for seed, rate, decay in product(search["seeds"], search["learning_rate"], search["decay"]):
        yield Point(start, seed, steps, search["share"], rate, decay)


def chosen(results: dict[str, Any], start: str, steps: int) -> tuple[float, float] | None:
    """Learning rate and decay of a start: best mean validation Dice over the search; None while it runs."""
    totals: dict[tuple[float, float], float] = {}
    for point in search_points(start, steps):
        if point.key not in results["runs"]:
            return None
        place = (point.learning_rate, point.decay)
        totals[place] = totals.get(place, 0.0) + results["runs"][point.key]["validation"]
    return max(totals, key=totals.__getitem__)


def final_points(results: dict[str, Any]) -> Iterator[Point]:
    """The points of both curves whose settings are chosen: over the steps first, then over the shares."""
    over_steps = product(PLAN["steps"], [PLAN["search"]["share"]])
    over_shares = product(PLAN["steps"][-1:], PLAN["shares"])
    for (steps, share), seed, start in product((*over_steps, *over_shares), PLAN["seeds"], STARTS):
        found = chosen(results, start, steps)
        if found is not None:
            yield Point(start, seed, steps, share, *found)


def left(cache: Path, results: dict[str, Any]) -> list[Point]:
    """Points that have no result from today's Theta, and whose Theta is there; fewest steps first."""
    ready = {(start, seed): sha256_of(cache, start, seed) for start in STARTS for seed in PLAN["seeds"]}
    searched = (p for steps, start in product(PLAN["steps"], STARTS) for p in search_points(start, steps))
    points = [p for p in (*searched, *final_points(results)) if ready[p.start, p.seed] != "missing"]
    return [
        p
        for p in sorted(dict.fromkeys(points), key=lambda p: p.steps)
        if results["runs"].get(p.key, {"theta_sha256": "none"})["theta_sha256"] != ready[p.start, p.seed]
    ]


def sha256_of(cache: Path, start: str, seed: int) -> str | None:
    """Fingerprint of a start; None for random weights."""
    if start == SCRATCH:
        return None
    path = theta_path(cache, start, seed)
    return load_weights(path).sha256 if path.is_file() else "missing"


# --- the command -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Train the Thetas that are missing, then fine-tune what is missing, and write each result as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("runs/few-shot"), help="keeps images and Thetas")
    parser.add_argument("--limit", type=int, help="at most so many runs of each kind")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--list", action="store_true", help="only say what is missing")
    options = parser.parse_args()
    if options.list:
        thetas, points = missing_thetas(options.cache), left(options.cache, read_results())
        print("\n".join([f"theta {start} seed {seed}" for start, seed in thetas] + [p.key for p in points]))
        return
    for seed in PLAN["seeds"]:  # before any process starts: two must not write one folder
        hospital(options.cache, seed)
        Images(options.cache).of(load_definition(HERE), foundation(PLAN["foundations"][0], seed)[1])
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        wanted = missing_thetas(options.cache)[: options.limit]
        for job in as_completed([pool.submit(train_theta, options.cache, *one) for one in wanted]):
            print(job.result(), flush=True)
        while points := list(islice(left(options.cache, read_results()), options.limit)):
            _tune_all(pool, options.cache, [p for p in points if p.steps == points[0].steps])
            if options.limit:
                break


def _tune_all(pool: ProcessPoolExecutor, cache: Path, points: list[Point]) -> None:
    jobs = {pool.submit(tune_point, cache, point): point for point in points}
    for job in as_completed(jobs):
        results, found = read_results(), job.result()
        results |= {"versions": versions(), "machine": machine("cpu")}
        results["runs"][jobs[job].key] = found
        write_json(RESULTS, results)
        mean = sum(found["test"].values()) / len(found["test"])
        print(f"{jobs[job].key}: validation {found['validation']:.3f}, test {mean:.3f}", flush=True)


if __name__ == "__main__":
    main()
