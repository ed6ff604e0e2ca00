"""Results come in order, no more is taken than may wait, and what goes wrong is told."""

import threading
import time

import pytest

from fedefm.ahead import ahead


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_the_order_of_their_items(threads: int) -> None:
    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return -number

    assert list(ahead(slow, range(30), threads)) == [(k, -k) for k in range(30)]


def test_several_are_at_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)  # breaks where one waits for the other to end
    assert [result for _, result in ahead(lambda _: both.wait() >= 0, range(4), 2)] == [True] * 4


def test_no_more_items_are_taken_than_may_wait() -> None:
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    results = ahead(lambda k: k, items(), 2)
    next(results)
    assert len(taken) <= 5
    results.close()
    assert len(taken) <= 5


def test_an_error_comes_at_its_turn() -> None:
    def fails(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    seen = []
    with pytest.raises(ValueError, match="three"):
        for item, _ in ahead(fails, range(10), 2):
            seen.append(item)
    assert seen == [0, 1, 2]
