"""A hospital's container that runs a rogue, from a kit that its owner has altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import support
from fedefm.federation.sites import registered
from support import rogue_site
from support.boxes.federation import CALL, Boxes
from support.rogue_orders import with_a_rogue_in_it
from support.rogues import RUN_TIME, until

MODULES = "/rogue"
START = json.dumps(["/kit/startup/sub_start.sh", "--once"])  # FLARE's own script, which checks nothing


@contextmanager
def rogue(boxes: Boxes, name: str) -> Iterator[Path]:
    """The altered kit of a hospital whose container is a rogue's until the end of the block, and its own after it."""
    kit, modules = boxes.root / "rogue" / name, boxes.root / "rogue" / "modules"
    shutil.copytree(boxes.kit(name), kit, ignore=RUN_TIME)
    (modules / "support").mkdir(parents=True)
    for module in (support, rogue_site):
        shutil.copy(str(module.__file__), modules / "support")
    with_a_rogue_in_it(kit, MODULES)
    boxes.hand_over(boxes.root / "rogue")
    boxes.remove(name)
    try:
        boxes.hospital(name, kit, ["--volume", f"{modules}:{MODULES}:ro", "--entrypoint", START])
        until(lambda: registered(kit), CALL)
        yield kit
    finally:
        boxes.remove(name)
        before = boxes.registrations(name)
        boxes.hospital(name, boxes.kit(name))
        boxes.until_registered(name, before)
