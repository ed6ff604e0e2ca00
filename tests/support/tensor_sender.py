"""A hospital's end point in a process of its own that serves tensors well or badly: `tensor_sender.py URL SITE HOW`.

It prints where its tensors lie, as one line of JSON, and serves until it is killed. It knows no torch, which is slow to
load: what goes over the wire is the bytes of safetensors files.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.streaming.download_service import Downloadable, DownloadService, ProduceRC
from safetensors.numpy import save

NAMES = tuple(f"T{k}" for k in range(10))  # FLARE's own names of the items of a message
LENGTH = 1000


class Served(Downloadable):
    """Gives its items in order, some at a time.

    Args:
        items: what the requests get.
        at_once: items of one answer.
        seconds: what each answer takes.
        forever: begin again at the end instead of saying that it was the end.
    """

    def __init__(self, items: Sequence[Any], at_once: int = 1, seconds: float = 0.0, forever: bool = False):
        super().__init__(items)
        self._at_once, self._seconds, self._forever = at_once, seconds, forever

    def produce(self, state: dict[str, Any], requester: str) -> tuple[str, Any, dict[str, Any]]:
        """One answer."""
        time.sleep(self._seconds)
        begin = (state or {}).get("next", 0)
        if begin >= len(self.base_obj) and not self._forever:
            return ProduceRC.EOF, None, {}
        items = self.base_obj if self._forever else self.base_obj[begin : begin + self._at_once]
        return ProduceRC.OK, list(items), {"next": begin + self._at_once}


def item(name: str, length: int = LENGTH) -> bytes:
    """One tensor as it goes over the wire, full of its own number."""
    return save({name: numpy.full(length, float(name[1:]), dtype=numpy.float32)})


def served(how: str) -> Downloadable:
    """What this hospital serves."""
    tensors = [item(name) for name in NAMES]
    return {
        "well": lambda: Served(tensors, 3),
        "slow": lambda: Served(tensors, 1, seconds=2.0),
        "endless": lambda: Served(tensors[:1], forever=True),
        "nothing": lambda: Served([], seconds=0.05, forever=True),
        "text": lambda: Served(["T0"]),
        "huge": lambda: Served([item("T0", 75_000_000)]),  # 300 MB in one message
        "many": lambda: Served([item(f"T{k}", 1) for k in range(100_000)], 20_000),
    }[how]()


def main(url: str, site: str, how: str) -> None:
    """Connect, offer, and wait."""
    cell = Cell(site, url, secure=False, credentials={}, create_internal_listener=False)
    cell.start()
    transaction = DownloadService.new_transaction(cell, timeout=120.0, num_receivers=1)
    print(json.dumps({"ref": DownloadService.add_object(transaction, served(how))}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
