from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fedefm.data.frames import Split
from fedefm.data.label_sets import NOTHING_KNOWN, set_label
from fedefm.exchange.messages import Assignment, Stage, Task
from fedefm.foundation.agreement import FRAMES, agreement
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Settings
from fedefm.models.build import initial_weights
from support.small_networks import SMALLEST
from support.splits import split_of

CLASSES = ("catheter", "guidewire", "vessel")


class Reads(nn.Module):
    """Sees in an image what its grey values say."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(images[:, 0].long(), 4).movedim(-1, 1) * self.scale


def shown(images: Tensor, masks: Tensor) -> Split:
    return split_of(images.float().unsqueeze(1), masks.long())


def lines(count: int = 3) -> Tensor:
    masks = torch.zeros(count, 32, 32)
    masks[:, 8, 4:28], masks[:, 16, 4:28] = 1, 2
    return masks


def test_by_class_of_the_corpus_over_the_frames_that_hold_it() -> None:
    seen, labelled = lines(), lines()
    seen[seen == 2] = 0  # blind for guidewires
    labelled[0][labelled[0] == 1] = 0  # a catheter that the first frame does not hold
    found = agreement(Reads(), shown(seen, labelled), CLASSES, ("catheter", "guidewire", "vessel"))
    assert found == {"catheter": pytest.approx(1), "guidewire": 0}
    assert agreement(Reads(), shown(seen, labelled), CLASSES, ("catheter",)) == {"catheter": pytest.approx(1)}


def test_swapped_classes_and_shifted_masks_agree_with_nobody() -> None:
    masks = lines()
    swapped = torch.where(masks > 0, 3 - masks, masks)
    for seen in (swapped, masks.roll(4, 1)):
        found = agreement(Reads(), shown(seen, masks), CLASSES, CLASSES)
        assert found == pytest.approx({"catheter": 0, "guidewire": 0}, abs=1e-9)


def test_of_many_frames_some_are_looked_at_evenly() -> None:
    masks = lines(4 * FRAMES)
    looked_at: list[int] = []

    class Counts(Reads):
        def forward(self, images: Tensor) -> Tensor:
            looked_at.append(len(images))
            return super().forward(images)

    assert agreement(Counts(), shown(masks, masks), CLASSES, ("catheter",)) == {"catheter": pytest.approx(1)}
    assert sum(looked_at) == FRAMES


def test_a_hospital_says_how_a_visitor_agrees_and_returns_no_weights(consortium: dict[str, Path]) -> None:
    settings = Settings(CLASSES, size=64, model=SMALLEST)
    hospital = Hospital("east", consortium["east"], settings)
    weights = initial_weights(SMALLEST, 4, 64, seed=1)
    task = Task(Stage.ASSESS, 0, "east", "west")
    result = hospital.perform(Assignment(task, {"student": weights}))
    assert result.weights is None and set(result.report) == {"agreement"}
    assert set(result.report["agreement"]) <= set(hospital.data.corpus)
    assert all(0 <= value <= 1 for value in result.report["agreement"].values())


def test_frames_with_a_union_say_nothing_of_its_classes() -> None:
    masks = lines()
    masks[0][masks[0] > 0] = set_label([1, 2])
    seen = lines()
    seen[0] = 0  # what is seen there counts for nothing
    found = agreement(Reads(), shown(seen, masks), CLASSES, CLASSES)
    assert found == {"catheter": pytest.approx(1), "guidewire": pytest.approx(1)}
    masks[masks > 0] = set_label([1, 2])
    assert agreement(Reads(), shown(seen, masks), CLASSES, CLASSES) == {}


def test_what_is_seen_where_nothing_is_known_does_not_count() -> None:
    seen, masks = lines(), lines()
    seen[:, 28:] = 1
    masks[:, 28:] = NOTHING_KNOWN
    assert agreement(Reads(), shown(seen, masks), CLASSES, ("catheter",)) == {"catheter": pytest.approx(1)}
