from fedefm.report.comparison import compared, summaries
from support.fake_report import shown_scores


def test_a_line_per_site_and_class_with_each_method_s_number(comparison):
    lines = compared(comparison)
    assert [(line.site, line.name) for line in lines] == [
        (site, name) for site in comparison["sites"] for name in comparison["classes"]
    ]
    for line in lines:
        runs = comparison["methods"].values()
        assert [cell.dice for cell in line.cells] == [shown_scores(run, "dice", line.site)[line.name] for run in runs]


def test_the_best_is_the_highest_and_a_tie_has_two(comparison):
    for line in compared(comparison):
        values = [cell.dice for cell in line.cells]
        if values[0] is None:
            assert not any(line.is_best(cell) for cell in line.cells)
        else:
            assert line.is_best(line.cells[values.index(max(values))])
            assert not line.is_best(line.cells[values.index(min(values))])
    twin = comparison["methods"]["fedavg"]["dice"]["by_site"]["human"]
    twin["vessel"] = comparison["methods"]["fedefm"]["dice"]["by_site"]["human"]["vessel"]
    line = next(line for line in compared(comparison) if (line.site, line.name) == ("human", "vessel"))
    assert [line.is_best(cell) for cell in line.cells] == [True, True, False]


def test_a_method_that_lacks_a_site_has_no_result_there(comparison):
    lone = comparison["methods"]["lone"]
    lone["sites"].remove("phantom")
    line = compared(comparison)[-1]
    assert [cell.written("dice") for cell in line.cells] == ["not labelled", "not labelled", "no result"]


def test_a_summary_takes_its_mean_from_by_method(comparison):
    comparison["dice"]["by_method"]["lone"] = None
    assert [line.dice for line in summaries(comparison)] == list(comparison["dice"]["by_method"].values())
    assert [line.lost for line in summaries(comparison)] == [1, 0, 0]
