import pytest

from fedefm.report.view import Gain, flatten, run_view


def test_flatten_names_every_leaf_once():
    nested = {"a": {"b": 1, "c": {"d": [2]}}, "e": None, "f": {}}
    assert flatten(nested) == {"a.b": 1, "a.c.d": [2], "e": None, "f": {}}


@pytest.mark.parametrize(
    ("lone", "theta", "direction"),
    [(0.1, 0.3, "plus"), (0.3, 0.1, "minus"), (0.3, 0.3, ""), (0.3, 0.3001, ""), (None, 0.3, ""), (0.3, None, "")],
)
def test_a_gain_has_a_direction_if_its_three_decimals_show_one(lone, theta, direction):
    assert Gain(True, "●", lone, theta).direction == direction


def test_a_gain_is_theta_less_alone(report):
    view = run_view(report)
    for row in view.gains:
        baseline = report["baselines"][row.site]
        for gain, name in zip(row.classes, report["classes"], strict=True):
            if baseline["theta"][name] is not None:
                assert gain.difference == pytest.approx(baseline["theta"][name] - baseline["lone"][name])
    del report["baselines"]
    assert run_view(report).gains == ()


def test_a_baseline_without_theta_takes_it_from_the_scores(report):
    del report["baselines"]["human"]["theta"]
    row = next(row for row in run_view(report).gains if row.site == "human")
    assert [gain.theta for gain in row.classes] == list(report["dice"]["by_site"]["human"].values())


def test_theta_is_not_repeated_among_the_hospitals_models(report):
    assert [table.name for table in run_view(report).models] == report["sites"]


def test_class_means_are_over_the_sites_that_annotate(report):
    column = [report["dice"]["by_site"][site]["vessel"] for site in report["sites"]]
    assert column[-1] is None
    assert run_view(report).class_means[-1][0] == pytest.approx(sum(column[:-1]) / 2)
