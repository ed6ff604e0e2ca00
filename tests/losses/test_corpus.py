import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.losses.corpus import condition_on_labels, corpus_channels, fold_log_probabilities, fold_target

CLASSES = ("catheter", "guidewire", "vessel")
CHANNELS = st.lists(st.integers(1, 4), unique=True, min_size=1, max_size=4)


def logits_of(seed: int, k: int = 5) -> torch.Tensor:
    return 5 * torch.randn(2, k, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("corpus", "channels"),
    [(("vessel", "catheter"), (1, 3)), (CLASSES, (1, 2, 3)), (("guidewire",), (2,)), ((), ())],
)
def test_channels_follow_the_label_order(corpus: tuple[str, ...], channels: tuple[int, ...]) -> None:
    assert corpus_channels(corpus, CLASSES) == channels


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(ConfigError, match="'stent'"):
        corpus_channels(("vessel", "stent"), CLASSES)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), CHANNELS)
def test_folding_adds_the_probabilities_of_what_is_not_labelled(seed: int, channels: list[int]) -> None:
    logits = logits_of(seed)
    folded, p = fold_log_probabilities(logits, channels).exp(), logits.softmax(1)
    rest = sum(p[:, k] for k in range(5) if k not in channels)
    torch.testing.assert_close(folded, torch.stack([rest, *(p[:, k] for k in channels)], 1))
    torch.testing.assert_close(folded.sum(1), torch.ones_like(rest))


def test_with_all_channels_folding_is_the_softmax() -> None:
    logits = logits_of(0)
    torch.testing.assert_close(fold_log_probabilities(logits, (1, 2, 3, 4)), logits.log_softmax(1))


def test_folding_stays_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], dtype=torch.float32)[..., None, None].requires_grad_()
    fold_log_probabilities(logits, (1,)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_targets_move_to_the_folded_channels() -> None:
    mask = torch.tensor([[[0, 1, 2], [3, 3, 1]]])
    assert fold_target(mask, (1, 3), 4).tolist() == [[[0, 1, 0], [2, 2, 1]]]
    assert fold_target(mask, (1, 2, 3), 4).equal(mask)
    assert fold_target(mask, (), 4).eq(0).all()


def mask_of(seed: int, k: int = 5) -> torch.Tensor:
    return torch.randint(0, k, (2, 3, 4), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), CHANNELS)
def test_conditioned_logits_give_the_posterior(seed: int, channels: list[int]) -> None:
    """Bayes at each pixel: the prior p of what the labels leave possible, divided by its sum."""
    logits, mask = logits_of(seed), mask_of(seed)
    found, prior = condition_on_labels(logits, mask, channels).softmax(1), logits.softmax(1)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)).tolist():
        label = int(mask[b, y, x])
        possible = [label] if label in channels else [k for k in range(5) if k not in channels]
        evidence = sum(float(prior[b, k, y, x]) for k in possible)
        expected = [float(prior[b, k, y, x]) / evidence if k in possible else 0.0 for k in range(5)]
        assert found[b, :, y, x].tolist() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), CHANNELS)
def test_labels_outside_the_corpus_count_as_not_labelled(seed: int, channels: list[int]) -> None:
    logits, mask = logits_of(seed), mask_of(seed)
    foreign = ~torch.isin(mask, torch.tensor(channels))
    erased = mask.masked_fill(foreign, 0)
    assert condition_on_labels(logits, mask, channels).equal(condition_on_labels(logits, erased, channels))


def test_an_empty_corpus_says_nothing() -> None:
    logits = logits_of(0)
    torch.testing.assert_close(condition_on_labels(logits, mask_of(0), ()).softmax(1), logits.softmax(1))


@pytest.mark.parametrize("folded", [(1,), (2, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_a_group_without_any_possible_class_stays_finite(folded: tuple[int, ...], size: float) -> None:
    """With every class in the corpus all but one channel is impossible, so is a whole group of folded channels."""
    logits = (size * logits_of(3)).float().requires_grad_()
    log_p = fold_log_probabilities(condition_on_labels(logits, mask_of(3), (1, 2, 3, 4)), folded)
    entropy = -(log_p.exp() * log_p).sum()
    entropy.backward()
    assert log_p.isfinite().all() and float(entropy.detach()) == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None and logits.grad.isfinite().all()
