"""A fingerprint changes with the weights and with nothing else."""

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.maths import weights_sha256
from fedefm.maths.fingerprint import Fingerprints


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn((4, 3, 2), generator=generator),
        "half": torch.randn((5,), generator=generator).to(torch.bfloat16),
        "steps": torch.tensor(3),
        "mask": torch.tensor([True, False]),
    }


def test_is_the_hash_of_the_documented_bytes() -> None:
    values = np.array([[1.5, -2.0, 0.0]], dtype="<f4")
    fields = (b"w", b"float32", b"1,3", values.tobytes())
    framed = b"".join(len(field).to_bytes(8, "little") + field for field in fields)
    expected = hashlib.sha256(b"fedefm weights 1\n" + (1).to_bytes(8, "little") + framed).hexdigest()
    assert weights_sha256({"w": torch.tensor(values)}) == expected


def test_order_of_the_dict_and_memory_layout_do_not_matter() -> None:
    original = state()
    moved = {key: original[key].clone() for key in reversed(original)}
    moved["weight"] = original["weight"].permute(2, 1, 0).contiguous().permute(2, 1, 0)
    moved["half"] = torch.stack([original["half"], original["half"]], dim=1)[:, 0]
    assert not moved["weight"].is_contiguous()
    assert not moved["half"].is_contiguous()
    assert weights_sha256(moved) == weights_sha256(original)


def test_a_parameter_has_the_hash_of_its_values() -> None:
    original = state()
    original["weight"] = torch.nn.Parameter(original["weight"])
    assert weights_sha256(original) == weights_sha256(state())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["weight", "half", "steps"]), st.data())
def test_one_flipped_bit_changes_it(key: str, data: st.DataObject) -> None:
    original, changed = state(), state()
    octets = changed[key].view(-1).view(torch.uint8)
    octets[data.draw(st.integers(0, octets.numel() - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert weights_sha256(changed) != weights_sha256(original)


PAIRS = {
    "where a name ends": ({"ab": torch.zeros(1)}, {"a": torch.zeros(1)}),
    "which name has which values": (
        {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])},
        {"a": torch.tensor([2.0]), "b": torch.tensor([1.0])},
    ),
    "where one tensor ends": (
        {"a": torch.zeros(1), "b": torch.zeros(2)},
        {"a": torch.zeros(2), "b": torch.zeros(1)},
    ),
    "shape": ({"a": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}),
    "a scalar": ({"a": torch.zeros(())}, {"a": torch.zeros(1)}),
    "dtype of the same bytes": ({"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.int32)}),
    "half dtypes of the same bytes": (
        {"a": torch.zeros(2, dtype=torch.float16)},
        {"a": torch.zeros(2, dtype=torch.bfloat16)},
    ),
    "an empty tensor": ({}, {"a": torch.zeros(0)}),
    "shape of an empty tensor": ({"a": torch.zeros(0, 2)}, {"a": torch.zeros(2, 0)}),
    "sign of zero": ({"a": torch.tensor([0.0])}, {"a": torch.tensor([-0.0])}),
    "not a number": ({"a": torch.tensor([0.0])}, {"a": torch.tensor([math.nan])}),
    # The framing of one tensor, written out as the name of another.
    "a name that imitates the framing": (
        {"a": torch.zeros(1), "b": torch.zeros(1)},
        {"a\0float32\0001\0\0\0\0\0b": torch.zeros(1)},
    ),
}


@pytest.mark.parametrize("difference", PAIRS)
def test_states_that_differ_have_different_hashes(difference: str) -> None:
    one, other = PAIRS[difference]
    assert weights_sha256(one) != weights_sha256(other)
    assert weights_sha256(one) == weights_sha256(dict(one))


class Counted:
    """The hash, which counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, weights: dict[str, torch.Tensor]) -> str:
        self.times += 1
        return weights_sha256(weights)


def test_weights_are_hashed_once_as_long_as_they_live() -> None:
    counted, weights = Counted(), state()
    known = Fingerprints(counted)
    assert known.of(weights) == known.of(dict(reversed(weights.items()))) == weights_sha256(weights)
    assert counted.times == 1 and known.alive() == {weights_sha256(weights)}
    del weights
    assert known.alive() == frozenset()


@pytest.mark.parametrize("change", ["write", "replace", "leave out"])
def test_what_was_changed_is_hashed_again(change: str) -> None:
    weights, known = state(), Fingerprints()
    before = known.of(weights)
    if change == "write":
        weights["weight"].add_(1)
    elif change == "replace":
        weights["weight"] = weights["weight"] + 1
    else:
        del weights["mask"]
    assert known.of(weights) == weights_sha256(weights) != before


def test_weights_that_do_not_tell_when_they_change_are_hashed_each_time() -> None:
    counted = Counted()
    with torch.inference_mode():
        weights = {"w": torch.zeros(2)}
    known = Fingerprints(counted)
    assert known.of(weights) == known.of(weights) and counted.times == 2


def test_a_hash_that_is_known_need_not_be_made() -> None:
    counted, weights = Counted(), state()
    known = Fingerprints(counted)
    assert known.note(weights, "known") == known.of(weights) == "known" and counted.times == 0
