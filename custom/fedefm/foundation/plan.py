"""What a job will cost, before there is one: a probe of one hospital's machine, and the protocol on simulated clocks.

Of the hospitals nothing is needed but what each labels and how many images it has. The probe times a gradient step and
a forward pass of random images of the job's size with its network. The rounds are then played by the very code that a
run plays, over hospitals that take that time (`exchange/clocks.py`), so visits, turns, groups and what hospitals keep
are as in a run. Not in it: optimal transport, whose share of a step is small, preparing images, which happens once, and
machines of other speed than this one.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from fedefm.data.folder import list_images
from fedefm.data.manifest import load_manifest
from fedefm.data.splits import TEST_SHARE, VAL_SHARE
from fedefm.exchange.clocks import Clocks, Known, Names
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.messages import Stage, Task
from fedefm.exchange.state import RoundState
from fedefm.exchange.tasks import total_steps
from fedefm.exchange.topology import resolve
from fedefm.foundation.agreement import FRAMES
from fedefm.foundation.settings import Settings
from fedefm.losses.segmentation import segmentation_loss
from fedefm.maths.size import nbytes
from fedefm.models.build import build_model
from fedefm.models.precision import computing_in
from fedefm.training.wire import FLOAT16, FLOAT32, TensorWire

SERVER_MODELS, HOSPITAL_MODELS = 4, 6
"""Models beside which the server and a hospital have no more in memory, with any number of hospitals."""


@dataclass(frozen=True)
class Probe:
    """What one gradient step costs on this machine.

    Attributes:
        step_seconds: of a gradient step of a batch.
        image_seconds: of a forward pass of one image.
        model_bytes: of the network's weights.
        wire_bytes: of the same as they travel.
        step_bytes: that a step takes beside weights, gradients and the optimiser's moments.
        base_bytes: of a process that has loaded all libraries.
    """

    step_seconds: float
    image_seconds: float
    model_bytes: int
    wire_bytes: int
    step_bytes: int
    base_bytes: int


@dataclass(frozen=True)
class Bounds:
    """What must not be exceeded.

    Attributes:
        hours: of the whole job.
        gigabytes: that any hospital gets and sends.
        memory: of a hospital or of the server, in 10^9 bytes.
    """

    hours: float
    gigabytes: float
    memory: float


def census(folders: Mapping[str, Path]) -> dict[str, Known]:
    """Label corpus and number of images of each hospital, from its folder; no image is read.

    Raises:
        DataError: a folder or its `dataset.json` is wrong.
    """
    manifests = {name: load_manifest(folder) for name, folder in folders.items()}
    return {name: Known(tuple(one.annotated), len(list_images(folders[name]))) for name, one in manifests.items()}


def within(known: Mapping[str, Known], classes: Sequence[str]) -> dict[str, Known]:
    """The same hospitals, of whose classes only those of the job count."""
    corpora = {site: tuple(name for name in one.corpus if name in classes) for site, one in known.items()}
    return {site: Known(corpora[site], one.images) for site, one in known.items()}


def probe(settings: Settings, device: str = "cpu", steps: int = 3, threads: int = 1) -> Probe:
    """Take some gradient steps of random images; of their times the shortest counts, as others use the machine too.

    Args:
        settings: the job.
        device: torch device.
        steps: beside the first, which is not counted.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    place, base = torch.device(device), psutil.Process().memory_info().rss
    channels = tuple(range(len(settings.classes) + 1))
    model = build_model(settings.model, len(channels), settings.size).to(place)
    weights = dict(model.state_dict())
    size, wire = nbytes(weights), TensorWire(settings.wire).nbytes(weights)
    optimiser = torch.optim.AdamW(model.parameters())
    how = settings.optimisation
    images = torch.randn(how.batch_size, 1, settings.size, settings.size, device=place)
    masks = torch.randint(0, len(channels), images[:, 0].shape, device=place)
    took, looked = [], []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        optimiser.zero_grad()
        for _ in range(how.accumulate):
            with computing_in(how.precision, model, channels_last=how.channels_last):
                segmentation_loss(model(images), masks, channels[1:]).mean().backward()
        optimiser.step()
        took.append(_seconds_since(begin, place))
    peak = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else _peak() - base
    for _ in range(steps):
        with torch.no_grad():
            begin = time.perf_counter()
            model(images)
            looked.append(_seconds_since(begin, place) / len(images))
    return Probe(min(took[1:]), min(looked), size, wire, max(0, peak - 4 * size), base)


def _seconds_since(begin: float, place: torch.device) -> float:
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    return time.perf_counter() - begin


def _peak() -> int:
    """Greatest memory of this process so far, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def plan(settings: Settings, known: Mapping[str, Known], probed: Probe, bounds: Bounds, line: float) -> dict[str, Any]:
    """What the job costs, who is unseen to whom, and what to change where something does not fit; JSON-able values.

    Args:
        settings: the job.
        known: of every hospital.
        probed: of a machine like theirs.
        bounds: what must fit.
        line: bytes a second between a hospital and the server.
    """
    clocks = played(settings, known, probed, line)
    graph, memory = resolve(settings.topology, sorted(known)), _memory(probed)
    passes = settings.optimisation.images / (1 - VAL_SHARE - TEST_SHARE)
    found: dict[str, Any] = {
        "hours": clocks.wall / 3600,
        "least_gb": clocks.moved.least / 1e9,
        "model_mb": probed.model_bytes / 1e6,
        "server": {"gb": clocks.moved.bytes / 1e9, "memory_gb": memory["server"]},
        "hospitals": {
            site: {
                "corpus": list(one.corpus),
                "images": one.images,
                "hours": clocks.work[site] / 3600,
                "gb": clocks.bytes[site] / 1e9,
                "memory_gb": memory["hospital"],
                "passes": total_steps(settings.schedule, graph, site) * passes / max(1, one.images),
                "unseen": unseen(known, site),
            }
            for site, one in sorted(known.items())
        },
        "probe": asdict(probed),
    }
    return found | {"advice": advice(settings, known, probed, bounds, line, found)}


def unseen(known: Mapping[str, Known], site: str) -> dict[str, list[str]]:
    """Classes that a hospital does not label, and the hospitals that it can learn each from."""
    others = sorted({name for one in known.values() for name in one.corpus} - set(known[site].corpus))
    return {name: sorted(other for other, one in known.items() if name in one.corpus) for name in others}


def played(settings: Settings, known: Mapping[str, Known], probed: Probe, line: float) -> Clocks:
    """The whole job on simulated clocks."""
    clocks = Clocks(known, lambda task: seconds(task, settings, known, probed), probed.wire_bytes, line)
    server = Coordinator(
        settings.schedule,
        settings.rules,
        resolve(settings.topology, sorted(known)),
        settings.classes,
        clocks,
        Names(probed.wire_bytes),
        lambda event: None,
    )
    names = RoundState[str](0, dict.fromkeys(sorted(known), "start"))
    server.run("start", names)
    return clocks


def seconds(task: Task, settings: Settings, known: Mapping[str, Known], probed: Probe) -> float:
    """Of a task at its hospital: gradient steps, and the images that are looked at beside them."""
    look, images = probed.image_seconds, known[task.site].images
    judged, validated, tested = min(FRAMES, images) * look, VAL_SHARE * images * look, TEST_SHARE * images * look
    steps = task.steps * probed.step_seconds
    if task.stage is Stage.DISTIL:
        asked = task.steps * settings.optimisation.images * look * len(task.teachers)
        compared = judged * (1 + len(task.teachers)) if settings.schedule.reputation_limit else 0.0
        return steps + asked + compared + validated
    others = {
        Stage.PREPARE: 0.0,
        Stage.ASSESS: judged,
        Stage.LONE: steps + validated + tested,
        Stage.EVALUATE: tested * (len(known) + 1),  # Theta, and the model of each hospital
    }
    return others.get(task.stage, steps + validated)


def _memory(probed: Probe) -> dict[str, float]:
    """Most memory of the server and of a hospital, in 10^9 bytes."""
    hospital = probed.base_bytes + HOSPITAL_MODELS * probed.model_bytes + probed.step_bytes
    return {"server": (probed.base_bytes + SERVER_MODELS * probed.model_bytes) / 1e9, "hospital": hospital / 1e9}


def advice(
    settings: Settings, known: Mapping[str, Known], probed: Probe, bounds: Bounds, line: float, found: Mapping[str, Any]
) -> list[str]:
    """Which setting to change where something does not fit, with what it would bring; no line where all fits."""
    lines = []
    hours, most = found["hours"], max(one["gb"] for one in found["hospitals"].values())
    for change in changes(settings, len(known)):
        other = with_change(settings, change)
        clocks = played(other, known, replace(probed, wire_bytes=_wire_bytes(other, probed)), line)
        name = ", ".join(f"{key}={value}" for key, value in change.items())
        if hours > bounds.hours and clocks.wall / 3600 < 0.95 * hours:
            lines.append(f"--set {name}: {clocks.wall / 3600:.2f} hours in place of {hours:.2f}")
        gigabytes = max(clocks.bytes.values()) / 1e9
        if most > bounds.gigabytes and gigabytes < 0.95 * most:
            lines.append(f"--set {name}: {gigabytes:.2f} GB at most for a hospital in place of {most:.2f}")
    memory = _memory(probed)
    if memory["hospital"] > bounds.memory:
        rest = memory["hospital"] - probed.step_bytes / 1e9
        batch = int(settings.optimisation.batch_size * (bounds.memory - rest) * 1e9 / max(1, probed.step_bytes))
        more = -(-settings.optimisation.images // max(1, batch))
        same = f"--set optimisation.batch_size={batch} --set optimisation.accumulate={more}"
        small = same if batch >= 1 else "a smaller network (--model) or size"
        lines.append(f"{small}: a hospital needs {memory['hospital']:.1f} GB of memory, {bounds.memory:g} are there")
    if memory["server"] > bounds.memory:
        lines.append(f"a smaller network (--model): the server needs {memory['server']:.1f} GB of memory")
    return lines


def changes(settings: Settings, hospitals: int) -> Sequence[Mapping[str, Any]]:
    """Settings that make a job shorter or move less."""
    groups = -(-hospitals // 3)
    found: list[Mapping[str, Any]] = []
    if settings.rules.exchanges and settings.schedule.order == "sequential" and settings.schedule.groups < groups:
        found.append({"schedule.groups": groups})
    if settings.wire != FLOAT16:
        found.append({"wire": FLOAT16})
    if settings.schedule.method == "fedefm":
        found.append({"schedule.method": "at_home"})
    if settings.schedule.compare_lone:
        found.append({"schedule.compare_lone": False})
    return found


def with_change(settings: Settings, change: Mapping[str, Any]) -> Settings:
    """The settings with others under dotted keys."""
    plain = settings.to_dict()
    for key, value in change.items():
        part, _, name = key.rpartition(".")
        (plain[part] if part else plain)[name] = value
    return Settings.from_dict(plain)


def _wire_bytes(settings: Settings, probed: Probe) -> int:
    """Bytes of weights on the wire; a network's are float32, of which half precision takes half."""
    return probed.model_bytes if settings.wire == FLOAT32 else probed.model_bytes // 2
