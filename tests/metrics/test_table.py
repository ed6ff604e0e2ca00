"""The table of metrics: one name means one thing in each place, and two figures are called Dice for a reason."""

import numpy as np
import pytest

from fedefm.finetune.settings import OVER
from fedefm.metrics import ScoredImage, score_cases
from fedefm.metrics.pair import Pair
from fedefm.metrics.scores import Tally
from fedefm.metrics.table import METRICS, Over, Place, heading, lower_is_better, of_finetune, of_images, pooled


def pair(marked: int, there: int, common: int) -> Pair:
    """Two regions of so many pixels in a row of 20."""
    prediction, truth = np.zeros((1, 20), bool), np.zeros((1, 20), bool)
    prediction[0, :marked] = True
    truth[0, marked - common : marked - common + there] = True
    return Pair(prediction, truth)


def test_in_each_place_a_name_stands_once() -> None:
    for rows in (of_images(), *(of_finetune(over) for over in OVER.values())):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names) > 0
        assert len({row.heading for row in rows}) == len(names)


def test_what_the_page_draws_stands_in_the_record() -> None:
    assert set(of_images(Place.PAGE)) <= set(of_images(Place.MATRIX))
    assert all(row.title and row.heading for row in METRICS)


def test_wherever_a_distance_shows_it_stands_beside_it_how_many_were_missed() -> None:
    """A distance leaves out each image where the device was not found: alone it would praise a model that finds few."""
    for place in (None, *Place):
        names = [row.name for row in of_images(place)]
        apart = [row.name for row in of_images(place) if row.over is Over.BOTH]
        assert not apart or names.index("missed") == min(map(names.index, apart)) - 1


def test_pooled_dice_and_dice_differ_on_the_same_masks() -> None:
    """A large region well met and a small one missed: by images 0.4, over all pixels 0.727."""
    pairs = [pair(marked=10, there=10, common=8), pair(marked=1, there=1, common=0)]
    image, split = (next(row for row in rows if row.name == "dice") for rows in (of_images(), pooled()))
    by_image, at_once = Tally([image]), Tally([split])
    for one in pairs:
        by_image.add(one)
        at_once.add(one)
    assert by_image.figures() == {"dice": pytest.approx((16 / 20 + 0) / 2)}
    assert at_once.figures() == {"dice": pytest.approx(16 / 22)}
    assert (image.heading, split.heading, heading("dice")) == ("Dice", "pooled Dice", "pooled Dice")
    cases = [ScoredImage(p.prediction.astype(int), p.truth.astype(int)) for p in pairs]
    assert score_cases(cases, ["device"])["by_class"]["device"]["dice"]["mean"] == pytest.approx(0.4)


COUNTED = {
    Over.EITHER: ((3, 3), (3, 0), (0, 3)),
    Over.THERE: ((3, 3), (0, 3)),
    Over.BOTH: ((3, 3),),
}


@pytest.mark.parametrize("metric", of_images(), ids=lambda row: row.name)
def test_a_metric_is_of_the_images_that_its_row_says(metric) -> None:
    for sizes in ((3, 3), (3, 0), (0, 3), (0, 0)):
        assert metric.counts(pair(*sizes, common=min(sizes))) is (sizes in COUNTED[metric.over])


@pytest.mark.parametrize("metric", [row for row in of_images() if row.is_share], ids=lambda row: row.name)
def test_a_share_lies_between_nothing_and_all(metric) -> None:
    assert {metric.value(pair(5, 5, 5)), metric.value(pair(5, 5, 0))} <= {0.0, 1.0} and metric.is_share


def test_only_a_loss_should_be_low_among_what_a_fine_tune_tells() -> None:
    told = {row.name for over in OVER.values() for row in of_finetune(over)}
    assert {name for name in told if lower_is_better(name)} == {"loss"}
    assert not lower_is_better("dice/vessel") and heading("dice/vessel") == "pooled Dice/vessel"
