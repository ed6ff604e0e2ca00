"""Teachers are asked one at a time and ahead; the student hears the same, in the same order."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from fedefm.foundation.lessons import KEPT_BYTES, Ask, Lessons
from fedefm.training.loop import Batch

STEPS, HOSTS = 7, ("north", "west")


def batches() -> Iterator[Batch]:
    step = 0
    while True:
        yield torch.full((2, 1, 4, 4), float(step)), torch.zeros(2, 4, 4, dtype=torch.int64)
        step += 1


def said(host: str, images: Tensor) -> tuple[Tensor, Tensor]:
    number = images * (1 + HOSTS.index(host))
    return number.expand(2, 3, 4, 4), number.flatten(2).transpose(1, 2)


class Desk:
    """One network: only the teacher that was opened last can be asked."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, host: str) -> Ask:
        self.opened.append(host)

        def ask(images: Tensor) -> tuple[Tensor, Tensor]:
            assert self.opened[-1] == host
            return said(host, images)

        return ask


@pytest.mark.parametrize("kept_bytes", [1, 3000, KEPT_BYTES])
@pytest.mark.parametrize("order", [HOSTS, HOSTS[::-1]])
def test_each_step_hears_what_the_teachers_say_of_its_own_images(kept_bytes: int, order: tuple[str, ...]) -> None:
    desk, own = Desk(), batches()
    lessons = Lessons(desk.open, HOSTS, batches(), STEPS, kept_bytes)
    for _ in range(STEPS):
        images, _ = next(own)
        for host in order:
            for found, expected in zip(lessons.answer(host, images), said(host, images), strict=True):
                assert torch.equal(found, expected)


def test_a_teacher_is_loaded_as_seldom_as_memory_allows() -> None:
    """A step's answers of both teachers take 2 x 512 bytes; the first step is asked alone, to learn that."""
    loads = {}
    for kept_bytes in (1, 3 * 1024, KEPT_BYTES):
        desk, own = Desk(), batches()
        lessons = Lessons(desk.open, HOSTS, batches(), STEPS, kept_bytes)
        for _ in range(STEPS):
            images, _ = next(own)
            for host in HOSTS:
                lessons.answer(host, images)
        loads[kept_bytes] = desk.opened.count("west")
    assert loads == {1: STEPS, 3 * 1024: 3, KEPT_BYTES: 2}
