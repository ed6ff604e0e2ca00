"""Lines over the frames of a run lie where their figures are, with gaps where there are none."""

from fedefm.report.polyline import HEIGHT, WIDTH, line


def test_figures_lie_between_the_edges_and_gaps_stay_open() -> None:
    path = line("tip", "#000000", 0, [0.0, None, 5.0, 10.0], 0.0, 10.0).path
    assert path == f"M0.0 {HEIGHT:.1f}h.1M{2 * WIDTH / 3:.1f} {HEIGHT / 2:.1f}h.1L{WIDTH:.1f} 0.0"


def test_the_lower_edge_may_be_the_greater_figure_and_one_frame_is_a_dot() -> None:
    assert line("tip", "#000000", 1, [30.0], 40.0, 0.0).path == f"M0.0 {HEIGHT * 0.75:.1f}h.1"
    assert line("tip", "#000000", 0, [None, None], 0.0, 0.0).path == ""
