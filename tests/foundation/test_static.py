import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedefm.foundation.static import LEAST_FRAMES, StaticStructure, silence
from fedefm.losses.corpus import fold_log_probabilities

K, CHANNELS = 4, (1, 3)


def logits_of(classes: Tensor) -> Tensor:
    """Logits that are sure of a class at every pixel."""
    return 20 * torch.nn.functional.one_hot(classes, K).movedim(-1, 1).double()


def frames(count: int) -> Tensor:
    """A rim of class 3 in the first row of every frame, and a device of class 1 that moves along the second."""
    classes = torch.zeros(count, 3, count, dtype=torch.int64)
    classes[:, 0] = 3
    classes[range(count), 1, range(count)] = 1
    return classes


def test_what_stays_is_static_and_what_moves_is_not() -> None:
    classes = frames(16)
    found = StaticStructure(CHANNELS, 0.25).find(logits_of(classes))
    assert torch.equal(found, classes == 3)


def test_nothing_is_static_before_enough_frames_were_seen() -> None:
    structure, classes = StaticStructure(CHANNELS, 0.25), frames(LEAST_FRAMES)
    assert not structure.find(logits_of(classes[:-1])).any()
    assert torch.equal(structure.find(logits_of(classes[-1:])), classes[-1:] == 3)


def test_a_place_is_static_above_the_limit_only_and_where_the_class_is_seen_now() -> None:
    classes = torch.zeros(16, 1, 2, dtype=torch.int64)
    classes[:4, 0, 0], classes[:5, 0, 1] = 1, 1  # a quarter of the frames, and more
    found = StaticStructure(CHANNELS, 0.25).find(logits_of(classes))
    assert torch.equal(found, torch.stack([torch.zeros(16, 1), classes[:, :, 1]], -1).bool())


def test_classes_are_counted_apart() -> None:
    classes = torch.zeros(16, 1, 1, dtype=torch.int64)
    classes[0::4], classes[1::4] = 1, 3
    assert not StaticStructure(CHANNELS, 0.25).find(logits_of(classes)).any()


def test_a_class_that_the_teacher_is_not_asked_about_is_no_structure() -> None:
    assert not StaticStructure(CHANNELS, 0.25).find(logits_of(torch.full((16, 2, 2), 2))).any()


def test_a_limit_of_one_finds_nothing() -> None:
    assert not StaticStructure(CHANNELS, 1.0).find(logits_of(frames(16))).any()


@given(st.integers(0, 2**32))
def test_a_silenced_pixel_is_none_of_the_asked_classes_and_the_others_stay(seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    answer = torch.randn(2, K, 3, 3, generator=source)
    where = torch.rand(2, 3, 3, generator=source) < 0.5
    quiet = silence(answer, where, CHANNELS)
    folded = fold_log_probabilities(quiet, CHANNELS).exp()
    assert torch.allclose(folded[:, 0][where], torch.ones(()))
    assert torch.equal(quiet.movedim(1, -1)[~where], answer.movedim(1, -1)[~where])
    assert torch.equal(quiet[:, [0, 2]], answer[:, [0, 2]])
