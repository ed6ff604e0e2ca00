from fedefm.report.evaluation import cell

FIGURE = {"mean": 0.25, "low": 0.1, "high": 0.5, "support": 12}


def test_of_missed_images_it_is_said_how_many_there_are() -> None:
    assert cell("missed", FIGURE) == "3 of 12: 0.250 (0.100–0.500)"
    assert cell("dice", FIGURE) == "0.250 (0.100–0.500)"
    assert cell("missed", dict.fromkeys(FIGURE)) == "–"
