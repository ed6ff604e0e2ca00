import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from fedefm.foundation.distil import DistillationObjective, Teacher, image_weights, presence, regional_weights
from fedefm.foundation.settings import Distillation
from fedefm.losses.corpus import fold_log_probabilities
from fedefm.losses.segmentation import foundation_loss, segmentation_loss
from fedefm.maths import cosine_cost, emd, node_weights, regional_similarity
from fedefm.models.build import forward_with_features

K = 4  # background and three classes
CHANNELS = (1, 2)  # what the student's own hospital labels
BETA, T = 0.3, 2.0


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 4, stride=4)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, torch.nn.functional.softplus(self.conv(images))]


class Network(nn.Module):
    """An encoder with 2 x 2 nodes for 8 x 8 pixels, and logits that depend on it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Conv2d(6, K, 1)
        source = torch.Generator().manual_seed(seed)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=source)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(self.head(self.encoder(images)[-1]), scale_factor=4, mode="bilinear")


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, 8, 8, generator=source, dtype=torch.float64)
    return images, torch.randint(0, K, (3, 8, 8), generator=source)


STUDENT, EAST, WEST = Network(1), Network(2), Network(3)


def teacher(network: nn.Module, channels: tuple[int, ...]) -> Teacher:
    return Teacher(lambda images: forward_with_features(network, images, -1), channels)


EXPERTS = {"west": teacher(WEST, (1, 3)), "east": teacher(EAST, (2,))}


def objective(teachers: dict[str, Teacher] | None = None, channels: tuple[int, ...] = CHANNELS, **settings: object):
    chosen = {"beta": BETA, "temperature": T, "weighting": "uniform", "class_aware": False}
    chosen |= {"negatives": 1.0, "condition_on_labels": False}
    return DistillationObjective(
        STUDENT, EXPERTS if teachers is None else teachers, channels, Distillation(**chosen | settings)
    )


def nodes(network: Network, images: Tensor) -> Tensor:
    return network.encoder(images)[-1].flatten(2).transpose(1, 2)


def soft_loss(teacher: Network, images: Tensor, region: Tensor | None = None) -> Tensor:
    """T^2 L_c(softmax(z_S / T), softmax(z_T / T)) of each image (Eq. 11)."""
    log_p, q = (STUDENT(images) / T).log_softmax(1), (teacher(images) / T).softmax(1).detach()
    return T**2 * foundation_loss(log_p, q, region)


def own_loss(batch: tuple[Tensor, Tensor]) -> Tensor:
    return segmentation_loss(STUDENT(batch[0]), batch[1], CHANNELS)


def similarity_by_linear_programme(teacher: Network, images: Tensor) -> Tensor:
    """Eq. 3 of each image, by HiGHS on the whole flow."""
    found = []
    for u, v in zip(nodes(STUDENT, images).detach(), nodes(teacher, images).detach(), strict=True):
        a, b = (u @ v.mean(0)).relu(), (v @ u.mean(0)).relu()
        cosine = nn.functional.cosine_similarity(u[:, None], v[None], dim=-1).numpy()
        n, m = cosine.shape
        sums = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
        bounds = np.concatenate([a / a.sum(), b / b.sum()])
        found.append(-linprog(-cosine.ravel(), A_eq=sums, b_eq=bounds).fun)
    return torch.tensor(found)


def same(found: Tensor, expected: Tensor) -> None:
    """The same value, and the same gradient for the student."""
    torch.testing.assert_close(found, expected)
    weights = list(STUDENT.parameters())
    gradients = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)  # the oracle HiGHS stops at 1e-7


def test_uniform_is_the_plain_sum_over_teachers(batch: tuple[Tensor, Tensor]) -> None:
    taught = soft_loss(EAST, batch[0]) + soft_loss(WEST, batch[0])
    same(objective()(batch), (BETA * taught + (1 - BETA) * own_loss(batch)).mean())


def test_emd_weighs_every_teacher_by_its_score_and_the_labels_not(batch: tuple[Tensor, Tensor]) -> None:
    scores = {n: similarity_by_linear_programme(n, batch[0]) for n in (EAST, WEST)}
    taught = sum(s * soft_loss(n, batch[0]) for n, s in scores.items())
    chosen = objective(weighting="emd")
    same(chosen(batch), (BETA * taught + (1 - BETA) * own_loss(batch)).mean())
    means = {"east": float(scores[EAST].mean()), "west": float(scores[WEST].mean())}
    assert chosen.similarities() == pytest.approx(means)


def test_paper_exact_scales_the_supervised_term_too(batch: tuple[Tensor, Tensor]) -> None:
    """Eq. 2 read literally: sum_j EMD_j (beta T^2 L_c(S, T_j) + (1 - beta) L_c(S, y))."""
    scores = {n: similarity_by_linear_programme(n, batch[0]) for n in (EAST, WEST)}
    own = own_loss(batch)
    expected = sum(s * (BETA * soft_loss(n, batch[0]) + (1 - BETA) * own) for n, s in scores.items())
    same(objective(paper_exact=True, weighting="regional", class_aware=True)(batch), expected.mean())


def test_regional_weighs_every_pixel(batch: tuple[Tensor, Tensor]) -> None:
    images = batch[0]
    taught = torch.zeros(3, dtype=torch.float64)
    for network in (EAST, WEST):
        s = regional_similarity(nodes(STUDENT, images), nodes(network, images)).view(3, 1, 2, 2)
        grid = torch.exp(-(1 - s) / 0.2)
        region = nn.functional.interpolate(grid, (8, 8), mode="bilinear", align_corners=False)[:, 0]
        taught = taught + soft_loss(network, images, region)
    same(objective(weighting="regional", tau=0.2)(batch), (BETA * taught + (1 - BETA) * own_loss(batch)).mean())


def test_the_emd_itself_may_be_a_loss(batch: tuple[Tensor, Tensor]) -> None:
    images = batch[0]
    expected = objective()(batch)
    for network in (EAST, WEST):
        u, v = nodes(STUDENT, images), nodes(network, images).detach()
        expected = expected + BETA * 0.7 * emd(cosine_cost(u, v), *node_weights(u, v)).mean()
    same(objective(differentiate_emd=0.7)(batch), expected)


def test_without_teachers_only_labels_teach(batch: tuple[Tensor, Tensor]) -> None:
    alone = objective({})
    same(alone(batch), own_loss(batch).mean())
    assert alone.similarities() == {}


def test_the_order_of_the_teachers_changes_no_bit(batch: tuple[Tensor, Tensor]) -> None:
    turned = dict(reversed(EXPERTS.items()))
    assert torch.equal(objective(weighting="emd")(batch), objective(turned, weighting="emd")(batch))


class Reshared(nn.Module):
    """A network that shares what background and class 3 have together in another way between the two."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.encoder = network, network.encoder

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        rest = (logits[:, [0, 3]] / T).logsumexp(1)
        share = torch.full_like(rest, 0.05)
        logits[:, 0], logits[:, 3] = T * (rest + share.log()), T * (rest + (1 - share).log())
        return logits


def test_class_aware_ignores_what_a_teacher_says_of_classes_that_its_host_never_labelled(
    batch: tuple[Tensor, Tensor],
) -> None:
    honest, odd = ({"east": teacher(network, (1, 2))} for network in (EAST, Reshared(EAST)))
    torch.testing.assert_close(objective(honest, class_aware=True)(batch), objective(odd, class_aware=True)(batch))
    assert float((objective(honest)(batch) - objective(odd)(batch)).detach()) != pytest.approx(0, abs=1e-3)


def test_with_a_full_corpus_class_aware_changes_nothing(batch: tuple[Tensor, Tensor]) -> None:
    full = {"east": teacher(EAST, (1, 2, 3))}
    same(objective(full, class_aware=True)(batch), objective(full)(batch))


def corrected(teacher: Network, images: Tensor, masks: Tensor, temperature: float) -> Tensor:
    """Q^tau of a network given the silo's labels: certain where it has one, else none of its classes."""
    q = (teacher(images) / temperature).softmax(1)
    own = (masks == 1) | (masks == 2)
    rest = q[:, 0] + q[:, 3]
    by_channel = [torch.where(own, (masks == k).double(), q[:, k] / rest if k in (0, 3) else 0.0) for k in range(K)]
    return torch.stack(by_channel, 1)


def test_conditioning_corrects_teachers_by_the_silos_labels(batch: tuple[Tensor, Tensor]) -> None:
    images, masks = batch
    log_p = (STUDENT(images) / T).log_softmax(1)
    targets = [corrected(network, images, masks, T).detach() for network in (EAST, WEST)]
    taught = sum(T**2 * foundation_loss(log_p, q) for q in targets)
    expected = (BETA * taught + (1 - BETA) * own_loss(batch)).mean()
    same(objective(condition_on_labels=True)(batch), expected)
    assert float((objective()(batch) - expected).detach().abs()) > 1e-3


def test_what_teachers_say_where_the_silo_has_labels_does_not_count(batch: tuple[Tensor, Tensor]) -> None:
    images, masks = batch[0], torch.randint(1, 3, batch[1].shape, generator=torch.Generator().manual_seed(1))
    honest, odd = ({"east": teacher(network, (1, 2))} for network in (EAST, WEST))
    losses = [objective(experts, condition_on_labels=True)((images, masks)) for experts in (honest, odd)]
    torch.testing.assert_close(*losses)
    assert not objective(honest)((images, masks)).isclose(objective(odd)((images, masks)))


def test_trust_in_negatives_weighs_pixels_where_a_teacher_sees_none_of_its_classes(
    batch: tuple[Tensor, Tensor],
) -> None:
    images = batch[0]
    taught = torch.zeros(3, dtype=torch.float64)
    for network in (EAST, WEST):
        seen = 1 - network(images).softmax(1)[:, 0].detach()
        taught = taught + soft_loss(network, images, seen + 0.2 * (1 - seen))
    same(objective(negatives=0.2)(batch), (BETA * taught + (1 - BETA) * own_loss(batch)).mean())


def test_all_corrections_together_are_as_by_hand(batch: tuple[Tensor, Tensor]) -> None:
    """West is asked about class 1 and 3, given the labels; its silence counts for nothing."""
    images, masks = batch
    p, q = (STUDENT(images) / T).softmax(1), corrected(WEST, images, masks, T).detach()
    p, q = (torch.stack([x[:, 0] + x[:, 2], x[:, 1], x[:, 3]], 1) for x in (p, q))
    seen = corrected(WEST, images, masks, 1.0)[:, [1, 3]].sum(1).detach()
    taught = T**2 * foundation_loss(p.log(), q, seen)
    chosen = objective({"west": EXPERTS["west"]}, class_aware=True, condition_on_labels=True, negatives=0.0)
    same(chosen(batch), (BETA * taught + (1 - BETA) * own_loss(batch)).mean())


def test_paper_exact_trusts_negatives_and_leaves_teachers_uncorrected(batch: tuple[Tensor, Tensor]) -> None:
    plain = objective(paper_exact=True)(batch)
    assert plain.equal(objective(paper_exact=True, negatives=0.0, condition_on_labels=True)(batch))


@pytest.mark.parametrize("channels", [(1,), (2, 3), (1, 2, 3)])
def test_presence_is_the_chance_of_a_class_that_was_asked_for(channels: tuple[int, ...]) -> None:
    answer = 3 * torch.randn(2, K, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = answer.softmax(1)[:, list(channels)].sum(1)
    torch.testing.assert_close(presence(answer, channels, 0.0), seen)
    torch.testing.assert_close(presence(answer, channels, 0.5), (1 + seen) / 2)
    assert presence(answer, channels, 1.0).eq(1).all()


def test_teachers_are_left_alone(batch: tuple[Tensor, Tensor]) -> None:
    before = [p.clone() for n in (EAST, WEST) for p in n.parameters()]
    objective(weighting="regional", differentiate_emd=1.0)(batch).backward()
    assert all(p.grad is None for n in (EAST, WEST) for p in n.parameters())
    assert all(
        torch.equal(a, b) for a, b in zip(before, [p for n in (EAST, WEST) for p in n.parameters()], strict=True)
    )
    STUDENT.zero_grad(set_to_none=True)


def test_similarities_are_means_over_batches(batch: tuple[Tensor, Tensor]) -> None:
    chosen = objective()
    images, masks = batch
    chosen((images[:1], masks[:1]))
    chosen((images[1:2], masks[1:2]))
    first_two = similarity_by_linear_programme(EAST, images[:2])
    assert chosen.similarities()["east"] == pytest.approx(float(first_two.mean()))


@pytest.mark.parametrize(("grid", "size"), [((2, 2), (8, 8)), ((2, 4), (8, 16)), ((4, 2), (16, 8)), ((3, 3), (96, 96))])
def test_regional_weights_stand_where_their_nodes_are(grid: tuple[int, int], size: tuple[int, int]) -> None:
    """A pixel block at a node's centre has the node's weight, up to its neighbours' share."""
    s = torch.rand(2, grid[0] * grid[1], generator=torch.Generator().manual_seed(0))
    weights = regional_weights(s, size, tau=0.5)
    assert weights.shape == (2, *size)
    rows, columns = size[0] // grid[0], size[1] // grid[1]
    corner = torch.exp(-(1 - s.view(2, *grid)) / 0.5)
    torch.testing.assert_close(weights[:, 0, 0], corner[:, 0, 0])
    torch.testing.assert_close(weights[:, -1, -1], corner[:, -1, -1])
    middle = weights[:, rows // 2 - 1 :: rows, columns // 2 - 1 :: columns]
    assert float((middle - corner).abs().max()) <= float(corner.max() - corner.min()) / 2


def test_full_agreement_weighs_one_and_tau_sharpens() -> None:
    ones = torch.ones(1, 4)
    torch.testing.assert_close(regional_weights(ones, (8, 8), 0.1), torch.ones(1, 8, 8))
    assert float(regional_weights(0.5 * ones, (8, 8), 0.1).mean()) == pytest.approx(float(np.exp(-5)))


@pytest.mark.parametrize(
    ("weighting", "wanted"),
    [
        ("emd", {"a": [0.9, 0.5], "b": [0.7, 0.5]}),
        ("uniform", {"a": [1.0, 1.0], "b": [1.0, 1.0]}),
        ("regional", {"a": [1.0, 1.0], "b": [1.0, 1.0]}),
        ("constant", {"a": [0.3, 0.3], "b": [0.3, 0.3]}),
    ],
)
def test_weights_of_two_teachers_on_two_images_by_hand(weighting: str, wanted: dict[str, list[float]]) -> None:
    scores = {"a": torch.tensor([0.9, 0.5]), "b": torch.tensor([0.7, 0.5])}
    found = image_weights(scores, Distillation(weighting=weighting, constant=0.3))
    assert {host: weight.tolist() for host, weight in found.items()} == {
        host: pytest.approx(values) for host, values in wanted.items()
    }


def test_static_structure_is_taught_as_none_of_the_teachers_classes_at_full_weight() -> None:
    """One frame, seen many times over: all that a teacher sees in it is static, so it teaches "none of mine" there."""
    source = torch.Generator().manual_seed(1)
    images = torch.randn(1, 1, 8, 8, generator=source, dtype=torch.float64).expand(12, -1, -1, -1)
    masks = torch.zeros(12, 8, 8, dtype=torch.int64)
    loss = objective({"east": teacher(EAST, (2,))}, negatives=0.0, class_aware=True, static_limit=0.25, beta=1.0)
    answer = EAST(images).detach()
    answer_folded = fold_log_probabilities(answer, (2,))
    seen = answer_folded.argmax(1) == 1
    assert seen.any() and not seen.all()
    quiet = answer.clone()
    quiet[:, 2][seen] = -1e4
    region = presence(quiet, (2,), 0.0).masked_fill(seen, 1.0)
    log_p = fold_log_probabilities(STUDENT(images) / T, (2,))
    q = fold_log_probabilities(quiet / T, (2,)).exp()
    expected = T**2 * foundation_loss(log_p, q, region).mean()
    assert loss((images, masks)).item() == pytest.approx(expected.item(), rel=1e-9)
    assert q[:, 0][seen].min() == 1


@pytest.mark.parametrize("part", ["answers", "features"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_teacher_that_cannot_be_compared_drops_out_and_ends_nothing(
    batch: tuple[Tensor, Tensor], part: str, bad: float
) -> None:
    def broken(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, seen = forward_with_features(WEST, images, -1)
        return (logits * bad, seen) if part == "answers" else (logits, seen * bad)

    both = objective({"east": EXPERTS["east"], "west": Teacher(broken, (1, 3))}, weighting="emd")
    alone = objective({"east": EXPERTS["east"]}, weighting="emd")
    for _ in range(2):
        same(both(batch), alone(batch))
    assert (both.dropped, alone.dropped) == (["west"], [])
    assert both.similarities() == alone.similarities()
