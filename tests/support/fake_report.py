"""A made-up run with the shape and the size of a real one, for the tests of the report."""

import copy
import hashlib
from typing import Any

import numpy as np

from fedefm.report.overlay import Overlay

SITES = ("animal", "human", "phantom")
CLASSES = ("catheter", "guidewire", "vessel")
STAGES = ("prepare", "local", "overseas", "distil", "aggregate", "evaluate")


def weights(name: str) -> dict[str, str]:
    return {"path": f"{name}.safetensors", "sha256": hashlib.sha256(name.encode()).hexdigest()}


def nested_iou(dice: Any) -> Any:
    """The IoU that belongs to each Dice of nested mappings: d / (2 - d)."""
    if isinstance(dice, dict):
        return {name: nested_iou(value) for name, value in dice.items()}
    return None if dice is None else dice / (2 - dice)


def fake_report(
    sites: tuple[str, ...] = SITES, rounds: int = 8, method: str = "fedefm", level: float = 0.41, seed: int = 0
) -> dict[str, Any]:
    """A report whose every number is drawn from `seed`; each site labels one class, the last lacks the last class."""
    draw = np.random.default_rng(seed)
    corpora = {site: [CLASSES[i % len(CLASSES)]] for i, site in enumerate(sites)}

    def scores(centre: float) -> dict[str, dict[str, float | None]]:
        made: dict[str, dict[str, float | None]] = {
            site: {
                name: float(np.clip(centre + (0.15 if name in corpora[site] else -0.08) + draw.normal(0, 0.05), 0, 1))
                for name in CLASSES
            }
            for site in sites
        }
        made[sites[-1]][CLASSES[-1]] = None
        return made

    def metric(by_model: dict[str, Any]) -> dict[str, Any]:
        known = [value for row in by_model["theta"].values() for value in row.values() if value is not None]
        return {"mean": float(np.mean(known)), "by_site": by_model["theta"], "support": support, "by_model": by_model}

    def matrix(low: float, high: float) -> dict[str, dict[str, float]]:
        return {a: {b: float(draw.uniform(low, high)) for b in sites if b != a} for a in sites}

    def entry(number: int) -> dict[str, Any]:
        fall = 0.9 * np.exp(-number / 4)
        local = {site: float(fall + draw.uniform(0.1, 0.2)) for site in sites} if number == 0 else {}
        overseas = {f"{a}@{b}": float(fall + draw.uniform(0.1, 0.3)) for a in sites for b in sites if a != b}
        distil = {site: float(fall + draw.uniform(0.05, 0.15)) for site in sites}
        rise = {site: float(np.clip(level * (1 - np.exp(-number / 3)) + draw.normal(0, 0.02), 0, 1)) for site in sites}
        return {"round": number, "loss": {"local": local, "overseas": overseas, "distil": distil}, "val_dice": rise}

    support = {site: {name: int(draw.integers(4, 13)) for name in CLASSES} for site in sites}
    dice = {"theta": scores(level), **{site: scores(level - 0.1) for site in sites}}
    seconds = {stage: float(draw.uniform(0.2, 60)) for stage in STAGES}
    sizes = {stage: int(draw.integers(1, 9_000_000)) if stage in ("overseas", "aggregate") else 0 for stage in STAGES}
    return {
        "schema": 1,
        "name": "demo",
        "method": method,
        "created": "2026-11-02T10:11:12Z",
        "versions": {"fedefm": "0.1.0", "torch": "2.15.0", "nvflare": "2.9.0"},
        "seed": seed,
        "synthetic": ["human"],
        "config": {"train": {"lr": 0.001, "steps": 20}, "distil": {"beta": 0.5, "T": 2}, "tags": []},
        "sites": list(sites),
        "classes": list(CLASSES),
        "rounds": rounds,
        "corpora": corpora,
        "images": {site: {"train": 24, "val": 8, "test": 12} for site in sites},
        "theta": weights("theta"),
        "models": {site: weights(site) for site in sites},
        "dice": metric(dice),
        "iou": metric(nested_iou(dice)),
        "history": [entry(number) for number in range(rounds)],
        "emd_similarity": {str(n): matrix(0.81, 0.92) for n in range(rounds)} if len(sites) > 1 else {},
        "expert_dice": {str(n): matrix(0.5 * n / rounds, 0.3 + 0.5 * n / rounds) for n in range(rounds)}
        if len(sites) > 1
        else {},
        "seconds": {**seconds, "total": sum(seconds.values())},
        "bytes": {**sizes, "total": sum(sizes.values())},
        "lost": [
            {"site": sites[0], "round": 3, "stage": "overseas", "visitor": sites[-1], "reason": "no answer within 60 s"}
        ],
        "baselines": {
            site: {
                "lone": {name: float(draw.uniform(0.1, 0.6)) if name in corpora[site] else 0.0 for name in CLASSES},
                "theta": dice["theta"][site],
            }
            for site in sites
        },
    }


def fake_comparison() -> dict[str, Any]:
    """Three methods on the same sites; the report itself is that of FedEFM."""
    levels = {"fedefm": 0.41, "fedavg": 0.33, "lone": 0.22}
    methods = {
        name: fake_report(method=name, level=level, seed=index) for index, (name, level) in enumerate(levels.items())
    }
    for name in ("fedavg", "lone"):
        methods[name] |= {"emd_similarity": {}, "expert_dice": {}, "lost": []}
    drop_theta(methods["lone"])
    report = copy.deepcopy(methods["fedefm"])
    report["methods"] = methods
    for metric in ("dice", "iou"):
        report[metric]["by_method"] = {name: run[metric]["mean"] for name, run in methods.items()}
    return report


def drop_theta(report: dict[str, Any]) -> None:
    """Make the report one of a method without a global model."""
    report["theta"] = None
    for metric in ("dice", "iou"):
        report[metric]["by_site"] = {}
        del report[metric]["by_model"]["theta"]


def shown_scores(report: dict[str, Any], metric: str, site: str) -> dict[str, Any]:
    """Scores at a site: of the global model, or of the site's own where the method has none."""
    return report[metric]["by_site"][site] if report["theta"] else report[metric]["by_model"][site][site]


def fake_overlay(site: str = "human", index: int = 0, side: int = 192) -> Overlay:
    """A curved wire in a wider catheter over noise, the prediction shifted and cut off a little."""
    draw = np.random.default_rng(index)
    y, x = np.mgrid[0:side, 0:side] / side
    shade = 150 + 50 * np.sin(3 * x + index) * np.cos(2 * y) + draw.normal(0, 14, (side, side))
    middle = 0.5 + 0.2 * np.sin(4 * y + index)

    def mask(shift: float, end: float) -> np.ndarray:
        made = np.zeros((side, side), dtype=np.int64)
        made[np.abs(x - 0.25 * y - 0.3 - shift) < 0.04] = 3
        made[(np.abs(x - middle - shift) < 0.02) & (y < end)] = 1
        made[(np.abs(x - middle - shift) < 0.008) & (y > end - 0.2)] = 2
        return made

    truth, prediction = mask(0.0, 0.7), mask(0.012, 0.6)
    shade[truth == 3] -= 25
    shade[(truth == 1) | (truth == 2)] -= 70
    image = np.clip(shade, 0, 255).astype(np.uint8)
    return Overlay(site, f"image {index:03d}, frame 12", image, truth, prediction)
