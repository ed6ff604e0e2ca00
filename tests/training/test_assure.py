"""What is measured of a network on validation images is what happened there, and rests on enough of them."""

import numpy as np
import pytest
import torch
from torch import nn

from fedefm.data.dataset import SiteData
from fedefm.data.label_sets import NOTHING_KNOWN, set_label
from fedefm.training.assure import LEAST_SEEN, assure, marked_pixels, measure_confidence, measure_looks
from support.splits import split_of

CLASSES = ("catheter", "guidewire")


class Overconfident(nn.Module):
    """Class 1 where an image is above 0, with a score that says 0.99 wherever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.device = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logit = float(np.log(0.99 / 0.01))
        return torch.cat([torch.where(images > 0, 0.0, logit), torch.where(images > 0, logit, 0.0), images * 0 - 50], 1)


def frames(count: int, right: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with a bright square, of whose pixels a share is of class 1 in the mask."""
    source = torch.Generator().manual_seed(seed)
    images = torch.rand((count, 1, 32, 32), generator=source) - 2
    images[:, :, 8:24, 8:24] += 2.5
    masks = ((images[:, 0] > 0) & (torch.rand((count, 32, 32), generator=source) < right)).long()
    return images, masks


def site(train: int, val: int, right: float, corpus: tuple[str, ...] = ("catheter",)) -> SiteData:
    parts = [split_of(*frames(count, right, seed)) for seed, count in enumerate((train, val, 1))]
    return SiteData(corpus, corpus, *parts, quarantined=0)


def test_an_overconfident_network_is_told_how_often_it_was_right() -> None:
    found = measure_confidence(Overconfident(), [(split_of(*frames(12, 0.7)), ("catheter",))], CLASSES, 5)
    assert found is not None and found.images == 12
    assert float(found.of(np.array([0.99]))[0]) == pytest.approx(0.7, abs=0.02)
    assert found.error_before == pytest.approx(0.29, abs=0.02) and found.error_after < 0.01


def test_only_marks_of_annotated_classes_count_and_of_them_only_what_the_mask_says() -> None:
    images, masks = frames(1, 1.0)
    model = Overconfident()
    assert sum(len(scores) for scores, _ in marked_pixels(model, split_of(images, masks), CLASSES, ("guidewire",))) == 0
    [(scores, correct)] = marked_pixels(model, split_of(images, masks), CLASSES, ("catheter",))
    assert len(scores) == int((images > 0).sum()) and correct.all()
    masks[0, 8:12, 8:24] = NOTHING_KNOWN
    masks[0, 12:14, 8:24] = set_label((1, 2))
    [(fewer, _)] = marked_pixels(model, split_of(images, masks), CLASSES, ("catheter",))
    assert len(fewer) == int((images[0, 0, 14:] > 0).sum() + (images[0, 0, :8] > 0).sum())


def test_nothing_is_kept_of_fewer_images_than_are_allowed() -> None:
    few, enough = site(LEAST_SEEN - 1, 4, 0.7), site(LEAST_SEEN, 5, 0.7)
    none = assure(Overconfident(), [few], CLASSES, 5)
    assert none.confidence is None and none.looks == ()
    found = assure(Overconfident(), [enough], CLASSES, 5)
    assert found.confidence is not None and found.looks[0].images == LEAST_SEEN and found.looks[0].validated == 5
    assert assure(Overconfident(), [enough], CLASSES, 6).looks == ()
    assert len(assure(Overconfident(), [few, enough, enough], CLASSES, 5).looks) == 2


def test_another_look_is_far_and_the_same_one_is_near() -> None:
    from fedefm.data.appearance import appearance
    from fedefm.models.assurance import Assurance

    known = Assurance(None, measure_looks([(split_of(*frames(40, 1.0)), split_of(*frames(20, 1.0, 1)))], 5))
    assert len(known.looks) == 1
    same = known.strangeness(appearance(frames(40, 1.0, 2)[0][:, 0].numpy()))
    assert (same > 1).mean() < 0.25
    noisy = frames(40, 1.0, 2)[0] + 0.5 * torch.randn((40, 1, 32, 32), generator=torch.Generator().manual_seed(3))
    assert (known.strangeness(appearance(noisy[:, 0].numpy())) > 1).all()
