import numpy as np
import pytest

from fedefm.report.scores import mean, mean_of, model_rows, theta_rows


def test_rows_hold_the_report_s_own_numbers(report):
    for row in theta_rows(report):
        assert [cell.dice for cell in row.cells] == list(report["dice"]["by_site"][row.site].values())
        assert [cell.iou for cell in row.cells] == list(report["iou"]["by_site"][row.site].values())
        assert [cell.name for cell in row.cells if cell.own] == report["corpora"][row.site]


def test_own_and_unseen_cells_partition_the_mean(report):
    rows = theta_rows(report)
    cells = [cell for row in rows for cell in row.cells if cell.dice is not None]
    own = [cell.dice for cell in cells if cell.name in ("catheter",) and cell.own]
    assert own == [report["dice"]["by_site"]["animal"]["catheter"]]
    weight = sum(cell.own for cell in cells) / len(cells)
    both = weight * mean_of(rows, own=True) + (1 - weight) * mean_of(rows, own=False)
    assert both == pytest.approx(np.mean([cell.dice for cell in cells]))


def test_a_mean_of_nothing_is_none():
    assert mean([]) is None
    assert mean([None, None]) is None
    assert mean([None, 0.0, 0.5]) == 0.25


def test_a_class_without_annotation_differs_from_a_site_without_result(report):
    del report["dice"]["by_site"]["animal"]
    del report["iou"]["by_site"]["animal"]
    lost, _, phantom = theta_rows(report)
    assert {cell.written("dice") for cell in lost.cells} == {"no result"}
    assert phantom.cells[-1].written("dice") == "not labelled"
    assert lost.mean("dice") is None


def test_a_model_is_marked_by_its_own_corpus_wherever_it_is_tested(report):
    for row in model_rows(report, "human"):
        assert [cell.own for cell in row.cells] == [False, True, False]
