import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedefm.errors import ConfigError
from fedefm.losses.distillation import distillation_loss
from fedefm.losses.segmentation import foundation_loss

ALL = (1, 2, 3)


def random_logits(seed: int, *shape: int) -> Tensor:
    return 2 * torch.randn(*(shape or (2, 4, 3, 3)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(student: Tensor, teacher: Tensor, *args: object) -> Tensor:
    leaf = student.clone().requires_grad_()
    return torch.autograd.grad(distillation_loss(leaf, teacher, *args).sum(), leaf)[0]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_equation_11_with_all_channels(temperature: float) -> None:
    student, teacher = random_logits(0), random_logits(1)
    soft = foundation_loss((student / temperature).log_softmax(1), (teacher / temperature).softmax(1))
    torch.testing.assert_close(distillation_loss(student, teacher, ALL, temperature), temperature**2 * soft)


def test_temperature_is_a_scale_of_the_logits() -> None:
    """Q^tau of T z is Q of z, so only the factor T^2 is left."""
    student, teacher = random_logits(0), random_logits(1)
    torch.testing.assert_close(
        distillation_loss(3 * student, 3 * teacher, ALL, 3.0), 9 * distillation_loss(student, teacher, ALL, 1.0)
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(1,), (2, 3), ALL]), st.sampled_from([1.0, 2.0]), st.booleans())
def test_a_student_that_equals_its_teacher_rests(
    seed: int, channels: tuple[int, ...], temperature: float, weighted: bool
) -> None:
    teacher, weight = random_logits(seed), random_logits(seed + 1, 2, 3, 3).abs() if weighted else None
    assert float(gradient(teacher, teacher, channels, temperature, weight).abs().max()) < 1e-12
    assert float(gradient(teacher + random_logits(seed + 2), teacher, channels, temperature, weight).abs().max()) > 1e-4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.sampled_from([(1,), (2, 3), ALL]), st.booleans())
def test_gradients_are_those_of_finite_differences(seed: int, channels: tuple[int, ...], weighted: bool) -> None:
    student, teacher = random_logits(seed, 1, 4, 2, 2).requires_grad_(), random_logits(seed + 1, 1, 4, 2, 2)
    weight = random_logits(seed + 2, 1, 2, 2).abs() if weighted else None
    assert torch.autograd.gradcheck(lambda x: distillation_loss(x, teacher, channels, 2.0, weight), (student,))


def test_the_teacher_gets_no_gradient() -> None:
    teacher = random_logits(1).requires_grad_()
    loss = distillation_loss(random_logits(0).requires_grad_(), teacher, ALL, 2.0).sum()
    loss.backward()
    assert teacher.grad is None


def test_pixels_of_weight_zero_have_no_influence() -> None:
    student, teacher = random_logits(0), random_logits(1)
    weight = torch.ones(2, 3, 3, dtype=torch.float64)
    weight[:, 1, 2] = 0
    changed_student, changed_teacher = student.clone(), teacher.clone()
    changed_student[:, :, 1, 2], changed_teacher[:, :, 1, 2] = 40.0, -30.0
    changed_student[:, 2, 1, 2] = -9.0
    torch.testing.assert_close(
        distillation_loss(student, teacher, ALL, 2.0, weight),
        distillation_loss(changed_student, changed_teacher, ALL, 2.0, weight),
    )
    assert gradient(student, teacher, ALL, 2.0, weight)[:, :, 1, 2].eq(0).all()


def test_weights_of_one_are_no_weights() -> None:
    student, teacher = random_logits(0), random_logits(1)
    ones = torch.ones(2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(
        distillation_loss(student, teacher, ALL, 2.0, ones), distillation_loss(student, teacher, ALL, 2.0)
    )


def test_a_teacher_has_no_say_on_how_its_unlabelled_classes_share_the_rest() -> None:
    """Channels 0 and 3 are folded: only the sum of their probabilities counts."""
    student, teacher = random_logits(0), random_logits(1)
    other, temperature = teacher.clone(), 2.0
    rest = (teacher[:, [0, 3]] / temperature).logsumexp(1)
    share = torch.full_like(rest, 0.9)
    other[:, 0], other[:, 3] = temperature * (rest + share.log()), temperature * (rest + (1 - share).log())
    torch.testing.assert_close(
        distillation_loss(student, teacher, (1, 2), temperature), distillation_loss(student, other, (1, 2), temperature)
    )
    plain = [distillation_loss(student, t, ALL, temperature) for t in (teacher, other)]
    assert not torch.allclose(*plain)


@pytest.mark.parametrize(("channels", "temperature"), [((), 2.0), (ALL, 0.0), (ALL, -1.0)])
def test_nothing_to_ask_or_no_temperature_is_refused(channels: tuple[int, ...], temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        distillation_loss(random_logits(0), random_logits(1), channels, temperature)
