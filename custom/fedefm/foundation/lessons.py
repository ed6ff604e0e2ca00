"""What all teachers of a task say, asked one teacher at a time, so that one network in memory serves any number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from fedefm.training.loop import Batch

Answer = tuple[Float[Tensor, "b k h w"], Float[Tensor, "b n c"]]
"""A teacher's logits of a batch, and its features: one row a node."""

Ask = Callable[[Tensor], Answer]

KEPT_BYTES = 128 * 2**20
"""Memory for answers that wait for their step: how many batches ahead teachers are asked follows from it."""


class Lessons:
    """Asks every teacher some batches ahead, then hands the answers out, step by step.

    A task's batches follow from its seed alone, augmentation included. So a second iterator of them shows the teachers
    the very images that the student will see, and an answer is the same however far ahead it was asked.

    Args:
        open_teacher: loads a teacher's weights into the one network, and gives how to ask it.
        hosts: of the teachers.
        batches: the task's batches from its first step on.
        steps: of the task.
        kept_bytes: memory for answers.
    """

    def __init__(
        self,
        open_teacher: Callable[[str], Ask],
        hosts: Iterable[str],
        batches: Iterator[Batch],
        steps: int,
        kept_bytes: int = KEPT_BYTES,
    ):
        self._open, self._hosts, self._batches = open_teacher, sorted(hosts), batches
        self._left, self._kept_bytes = steps, kept_bytes
        self._ahead = 1  # until the size of an answer is known
        self._waiting: dict[str, list[Answer]] = {host: [] for host in self._hosts}

    def answer(self, host: str, images: Tensor) -> Answer:
        """What a teacher says of the next batch, whose images the student has at hand.

        Each teacher must be asked once a step, in any order.
        """
        if not self._waiting[host]:
            self._look_ahead()
        logits, nodes = self._waiting[host].pop(0)
        return logits.to(images.device), nodes.to(images.device)

    @torch.no_grad()
    def _look_ahead(self) -> None:
        ahead = [next(self._batches)[0] for _ in range(min(self._ahead, self._left))]
        self._left -= len(ahead)
        for host in self._hosts:
            ask = self._open(host)
            self._waiting[host] += [_on_cpu(ask(images)) for images in ahead]
        step = sum(part.nbytes for answers in self._waiting.values() for answer in answers for part in answer)
        self._ahead = max(1, self._kept_bytes * len(ahead) // max(1, step))


def _on_cpu(answer: Answer) -> Answer:
    logits, nodes = answer
    return logits.cpu(), nodes.cpu()
