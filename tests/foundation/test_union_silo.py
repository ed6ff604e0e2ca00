"""A silo whose masks say "a tool" takes part in a run from one end to the other."""

from pathlib import Path

import numpy as np
from PIL import Image

from fedefm.data.manifest import Manifest, load_manifest, write_manifest
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")


def as_tools(source: Path, folder: Path) -> Path:
    """The same silo, as if nobody had told catheter from guidewire."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    old = load_manifest(source)
    tools = [value for value, name in old.classes.items() if name in ("catheter", "guidewire")]
    for image in (source / "images").iterdir():
        (folder / "images" / image.name).write_bytes(image.read_bytes())
        mask = np.isin(np.asarray(Image.open(source / "masks" / image.name)), tools)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / image.name)
    write_manifest(
        Manifest("tools", {0: "background", 255: "catheter|guidewire"}, patients=old.patients, splits=old.splits),
        folder,
    )
    return folder


def test_it_learns_visits_and_distils_and_is_not_scored(consortium: dict[str, Path], tmp_path: Path) -> None:
    folders = {**consortium, "east": as_tools(consortium["east"], tmp_path / "east")}
    schedule = Schedule(rounds=1, local_steps=2, overseas_steps=2, distil_steps=2)
    job = Settings(CLASSES, size=32, schedule=schedule, model=SMALLEST, optimisation=Optimisation(batch_size=2))
    run = run_in_process(job, folders)
    assert run.figures["corpora"]["east"] == ["catheter", "guidewire"] and not run.figures["lost"]
    assert run.state.theta is not None and all(value.isfinite().all() for value in run.state.theta.values())
    by_site = run.figures["dice"]["by_site"]
    assert set(by_site["east"].values()) == {None}
    assert all(None not in scores.values() for site, scores in by_site.items() if site != "east")
    assert run.figures["history"][0]["loss"]["local"]["east"] > 0
