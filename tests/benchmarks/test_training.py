"""The table of gradient steps: every row is measured, and a share is a share."""

import pytest
import torch

from benchmarks import training
from support.small_networks import SMALLEST


def test_every_precision_and_order_of_channels_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "NETWORKS", {"smallest": SMALLEST})
    monkeypatch.setattr(training, "SIDE", 128)
    found = list(training.rows(32, 2, torch.device("cpu")))
    assert {(one["precision"], one["channels_last"]) for one in found} == {
        (precision, last) for precision in ("float32", "bfloat16") for last in (False, True)
    }
    assert len({one["gflops"] for one in found}) == 1 and all(one["gflops"] > 0 for one in found)
    for one in found:
        assert one["share"] == pytest.approx(one["gflops"] / one["ms"] * 1e3 / one["matrix_gflops"])
    assert training.table(found).count("\n") == 5 and "| last |" in training.table(found)
