"""`docs/attacks.md` shows the results that are there, all of them, and nothing else."""

import json
from pathlib import Path

from benchmarks.attacks import RESULTS, row

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
METHOD = "fedefm"


def test_its_table_is_that_of_the_results() -> None:
    rows = set()
    for path in RESULTS.glob(f"{METHOD}-*.json"):
        _, labels, order, attack, *_ = (
            path.stem.replace("experts_-20", "experts_~20").replace("own_-", "own_~").split("-")
        )
        rows.add(row(labels, order, attack.replace("_", " ").replace("~", "-"), json.loads(path.read_text())))
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith(("| shared |", "| disjoint |"))]
    assert len(shown) == len(set(shown))
    assert set(shown) == rows != set()
