"""The summary and the page that are committed are those of the committed results."""

import json
from pathlib import Path

from benchmarks.fixed.definition import load_definition
from benchmarks.fixed.store import current_results
from benchmarks.fixed.summary import summarise, summary_path

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_results_that_are_here_count_and_the_summary_is_theirs() -> None:
    definition = load_definition(FOLDER)
    results = current_results(definition)
    methods = {result["case"]["method"] for result in results}
    assert {"fedefm", "at_home", "pooled", "fedavg", "lone"} <= methods
    assert json.loads(summary_path(definition).read_text()) == json.loads(json.dumps(summarise(results)))
