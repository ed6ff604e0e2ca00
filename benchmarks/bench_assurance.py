"""How well weights know themselves: calibration of marked pixels and of devices, and frames that look like nothing.

    python benchmarks/bench_assurance.py [--json] [--seeds 3] [--steps 300] [--frames 80] [--data FOLDER]

For each seed: synthetic hospitals are drawn, the network of jobs/foundation is trained on all of them in this process,
what `fedefm calibrate` measures is measured on their training and validation splits, and looked at on images that took
no part. Everything is synthetic. The rows:
    pixels      expected calibration error over marked pixels of the test splits: the network's own score, and the
                calibrated one, overall and with an offset or without (temperature)
    devices     mean distance between the confidence of a device in a frame (the mean over its pixels) and the share of
                its pixels that are right, before and after
    tips        area under the ROC curve: does the tip's confidence tell tips within 5 pixels of the truth from others
    unlike      of a look that no hospital has, and of each hospital's look where it is left out: area under the ROC
                curve against test images of the others, and the share of frames above the threshold; `test` is the
                share of the test images themselves above it, which should be about 5 %
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch import nn

from fedefm.data.appearance import appearance
from fedefm.data.dataset import SiteData, load_site
from fedefm.data.frames import Split
from fedefm.data.synth.consortium import write_consortium
from fedefm.data.synth.looks import HELD_BACK
from fedefm.data.synth.site import write_site
from fedefm.foundation.settings import Settings, load_settings
from fedefm.losses.corpus import corpus_channels
from fedefm.losses.segmentation import segmentation_loss
from fedefm.metrics import device_tip, expected_calibration_error, tip_distance
from fedefm.metrics.presence import Presence, area_under_roc
from fedefm.models.assurance import Assurance, Confidence
from fedefm.models.build import build_model
from fedefm.training.assure import assure, marked_pixels
from fedefm.training.loop import draw_batches

JOB = Path(__file__).parents[1] / "jobs/foundation/app/config/foundation.json"
NEAR = 5.0  # pixels of the network's square
AROUND = 3


def hospitals(folder: Path, job: Settings, frames: int, seed: int) -> tuple[dict[str, SiteData], SiteData]:
    """The default hospitals, and one with a look that none of them has."""
    sites = write_consortium(folder / f"seed-{seed}", frames_per_site=frames, size=128, seed=seed)
    other = folder / f"seed-{seed}-other"
    write_site(other, HELD_BACK[0], frames=frames, size=128, seed=seed + 1000, corpus=job.classes)
    return {site.name: load_site(site, job.classes, job.size) for site in sites}, load_site(
        other, job.classes, job.size
    )


def trained(job: Settings, sites: Mapping[str, SiteData], steps: int, seed: int) -> nn.Module:
    """The job's network, a step at each hospital in turn."""
    torch.manual_seed(seed)
    model = build_model(job.model, len(job.classes) + 1, job.size).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=job.optimisation.learning_rate)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    cpu = torch.device("cpu")
    batches = {name: draw_batches(site.train, job.optimisation, seed, cpu) for name, site in sites.items()}
    for step in range(steps):
        name = list(sites)[step % len(sites)]
        images, masks = next(batches[name])
        optimiser.zero_grad()
        channels = corpus_channels(sites[name].corpus, job.classes)
        segmentation_loss(model(images), masks, channels).mean().backward()
        optimiser.step()
        plan.step()
    return model.eval()


def errors_of_pixels(
    model: nn.Module, sites: Mapping[str, SiteData], job: Settings, sure: Confidence
) -> dict[str, float | None]:
    """Expected calibration errors over marked pixels of the test images."""
    scores, correct = _marked(model, [(site.test, site.test_corpus) for site in sites.values()], job)
    held, right = _marked(model, [(site.val, site.corpus) for site in sites.values()], job)
    slope = _temperature(held, right)
    tempered = Confidence(slope, 0.0, 1, 0.0, 0.0)
    return {
        "pixels, own": expected_calibration_error(scores, correct),
        "pixels, temperature alone": expected_calibration_error(tempered.of(scores), correct),
        "pixels, calibrated": expected_calibration_error(sure.of(scores), correct),
    }


def _temperature(scores: np.ndarray, correct: np.ndarray) -> float:
    """The best slope without an offset, by a search."""
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))
    slopes = np.geomspace(0.05, 5, 200)
    losses = [float(np.mean(np.logaddexp(0, np.where(correct, -1, 1) * slope * logit))) for slope in slopes]
    return float(slopes[int(np.argmin(losses))])


def _marked(model: nn.Module, splits: Any, job: Settings) -> tuple[np.ndarray, np.ndarray]:
    seen = [pair for split, corpus in splits for pair in marked_pixels(model, split, job.classes, corpus)]
    scores, correct = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    return scores.astype(np.float64), correct


def errors_of_devices(
    model: nn.Module, sites: Mapping[str, SiteData], job: Settings, sure: Confidence
) -> dict[str, float | None]:
    """How far the confidence of a device is from the share of its pixels that are right; what a tip's is worth."""
    own, calibrated, tips, near = [], [], [], []
    for site in sites.values():
        for images, masks in site.test.batches():
            with torch.inference_mode():
                scores, labels = (one.numpy() for one in model(images).softmax(1).max(1))
            for score, label, mask in zip(scores, labels, masks.numpy(), strict=True):
                for channel in range(1, len(job.classes) + 1):
                    marked = label == channel
                    if not marked.any():
                        continue
                    right = float((mask[marked] == channel).mean())
                    own.append(abs(float(score[marked].mean()) - right))
                    calibrated.append(abs(float(sure.of(score[marked]).mean()) - right))
                    if job.classes[channel - 1] != "vessel":
                        tip, truth = device_tip(marked), device_tip(mask == channel)
                        assert tip is not None
                        far = tip_distance(tip, truth)
                        y, x = int(tip.y), int(tip.x)
                        part = (slice(max(y - AROUND, 0), y + AROUND + 1), slice(max(x - AROUND, 0), x + AROUND + 1))
                        tips.append(float(sure.of(score[part][marked[part]]).mean()))
                        near.append(far is not None and far <= NEAR)
    found = Presence(np.array(tips), np.array(near))
    return {
        "devices, own": mean(own),
        "devices, calibrated": mean(calibrated),
        "tips within 5 px": mean(near),
        "tips, AUC of their confidence": area_under_roc(found),
    }


def unlike(sites: Mapping[str, SiteData], other: SiteData, looks: Assurance) -> dict[str, float | None]:
    """How well frames of a look that took no part are told apart."""
    known = {name: _strangeness(looks, site.test) for name, site in sites.items()}
    here = np.concatenate(list(known.values()))
    found: dict[str, float | None] = {"test, above the threshold": float((here > 1).mean())}
    found |= _apart(HELD_BACK[0], _strangeness(looks, other.test), here)
    order = list(sites)
    for k, name in enumerate(order):
        rest = Assurance(None, looks.looks[:k] + looks.looks[k + 1 :])
        others = np.concatenate([_strangeness(rest, sites[one].test) for one in order if one != name])
        found |= _apart(f"{name} left out", _strangeness(rest, sites[name].test), others)
    return found


def _apart(name: str, strange: np.ndarray, known: np.ndarray) -> dict[str, float | None]:
    values = np.concatenate([strange, known])
    auc = area_under_roc(Presence(values, np.arange(len(values)) < len(strange)))
    return {f"{name}, AUC": auc, f"{name}, above the threshold": float((strange > 1).mean())}


def _strangeness(looks: Assurance, split: Split) -> np.ndarray:
    found = [looks.strangeness(appearance(images[:, 0].numpy())) for images, _ in split.batches()]
    return np.concatenate([one for one in found if one is not None])


def one_seed(seed: int, options: argparse.Namespace) -> dict[str, float | None]:
    """All figures of a seed."""
    job = load_settings(JOB)
    sites, other = hospitals(options.data, job, options.frames, seed)
    model = trained(job, sites, options.steps, seed)
    found = assure(model, list(sites.values()), job.classes)
    if found.confidence is None or len(found.looks) != len(sites):
        raise SystemExit(f"seed {seed}: too few images to measure; raise --frames or --steps")
    figures = errors_of_pixels(model, sites, job, found.confidence)
    return figures | errors_of_devices(model, sites, job, found.confidence) | unlike(sites, other, found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print mean and spread of each figure over the seeds, or JSON with every one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--frames", type=int, default=80, help="of each hospital")
    parser.add_argument("--data", type=Path, default=Path("runs/bench-assurance"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    by_seed = [one_seed(seed, options) for seed in range(options.seeds)]
    if options.json:
        print(json.dumps(by_seed, indent=2))
        return 0
    print(f"synthetic, {options.seeds} seeds, {options.steps} steps, {options.frames} frames a hospital")
    for name in by_seed[0]:
        values = [float(one[name] or 0.0) for one in by_seed if one[name] is not None]
        spread = f" +- {stdev(values):.3f}" if len(values) > 1 else ""
        print(f"  {name:<42}{mean(values):.3f}{spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
