"""The oracle of the teachers' weights: it knows the truth, and uses it for nothing but the weights."""

import importlib.util
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from fedefm.foundation.distil import DistillationObjective, Teacher
from fedefm.foundation.settings import Distillation
from fedefm.losses.distillation import distillation_loss
from fedefm.models.build import forward_with_features
from support.tiny_benchmark import REAL

SETTINGS = Distillation(weighting="uniform", beta=0.5, condition_on_labels=False)
TAUGHT = (3,)  # the teacher's host labels class 3
OWN = (1,)


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("oracle_of_weights", REAL / "oracle.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look their types up
    spec.loader.exec_module(module)
    return module


class Even(nn.Module):
    """An encoder whose last map is the same everywhere."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, torch.ones(len(images), 2, 2, 2, dtype=images.dtype)]


class Says(nn.Module):
    """A network that gives the logits that it was told."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.encoder = logits, Even()

    def forward(self, images: Tensor) -> Tensor:
        self.encoder(images)
        return self.logits


def logits_of(labels: Tensor, sure: float = 6.0) -> Tensor:
    return sure * nn.functional.one_hot(labels, 4).movedim(-1, 1).double()


SAID = torch.zeros(1, 4, 4, dtype=torch.int64)
SAID[0, 0], SAID[0, 1] = 3, 3  # sees its class in two rows of four
TRUE = torch.zeros(1, 4, 4, dtype=torch.int64)
TRUE[0, 0], TRUE[0, 2] = 3, 3  # one of them is right, and it misses a third


def test_judges_give_the_weights_that_they_say(oracle: ModuleType) -> None:
    said, true, seen = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 0, 1]), torch.full((5,), 0.25)
    found = {name: judge(said, true, seen).tolist() for name, judge in oracle.JUDGES.items()}
    assert found == {
        "right": [1, 0, 1, 0, 0],
        "right_seen": [0.25, 0, 0.25, 0, 0],
        "corrected": [0.25, 0.25, 0.25, 1, 1],
    }


@pytest.mark.parametrize("mode", ["right", "right_seen", "corrected"])
def test_the_truth_changes_weights_alone(oracle: ModuleType, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle.Oracle, "mode", mode)
    student = logits_of(torch.zeros(1, 4, 4, dtype=torch.int64), 1.0)
    teacher = logits_of(SAID)
    images, labels = torch.zeros(1, 1, 4, 4, dtype=torch.float64), torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, 3] = 1
    nets = Says(student), {"west": Teacher(lambda images: forward_with_features(Says(teacher), images, -1), TAUGHT)}
    found = oracle.Oracle(*nets, OWN, SETTINGS)((images, labels + oracle.TRUTH * TRUE))
    alone = DistillationObjective(Says(student), {}, OWN, SETTINGS)((images, labels))
    seen = teacher.softmax(1)[:, 3]
    weight = {
        "right": (SAID == TRUE).double(),
        "right_seen": seen * (SAID == TRUE),
        "corrected": torch.where((SAID == 3) & (TRUE != 3), torch.ones_like(seen), seen),
    }[mode]
    answer = teacher.clone()
    if mode == "corrected":
        answer[:, 3][(SAID == 3) & (TRUE != 3)] = -1e4
    taught = distillation_loss(student, answer, TAUGHT, 1.0, weight).mean()
    torch.testing.assert_close(found, 0.5 * taught + 0.5 * alone)
