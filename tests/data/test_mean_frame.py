"""The mean of frames that pass by."""

import numpy as np

from fedefm.data.mean_frame import MeanFrame


def test_it_is_the_mean_of_what_passed_and_padding_is_dark() -> None:
    frames = [np.full((2, 2), value, np.float32) for value in (1, 5, np.nan)]
    frames[1][0, 0] = np.nan
    frames[1][1, 1] = 3
    mean = MeanFrame()
    assert mean.mean is None
    assert sum(1 for _ in mean.watch(frames)) == 3
    np.testing.assert_allclose(mean.mean, [[2, 3], [3, 2]])
