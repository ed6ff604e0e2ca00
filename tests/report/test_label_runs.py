"""Runs of labels give the label map back."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedefm.report import label_runs as module
from fedefm.report.label_runs import label_runs


def back(text: str, shape: tuple[int, int]) -> np.ndarray:
    runs = np.frombuffer(base64.b64decode(text, validate=True), "<u4")
    return np.repeat((runs & 255).astype(np.uint8), runs >> 8).reshape(shape)


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 254])))
def test_the_label_map_comes_back(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(back(label_runs(labels), labels.shape), labels)


def test_a_run_that_is_longer_than_its_number_can_say_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 7)
    labels = np.zeros((5, 6), np.uint8)
    labels[2, 3:] = 3
    text = label_runs(labels)
    assert (np.frombuffer(base64.b64decode(text), "<u4") >> 8).max() <= 7
    np.testing.assert_array_equal(back(text, labels.shape), labels)
