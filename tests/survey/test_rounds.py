import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fedefm.errors import QuorumError
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.report.survey import render_survey
from fedefm.survey.describer import Describer, known_only
from fedefm.survey.rounds import survey, survey_in_process
from fedefm.survey.settings import Survey
from support.page_reader import PageReader

CLASSES = ("catheter", "guidewire", "vessel")
SETTINGS = Survey(CLASSES, least_images=2)


class Hostile:
    """A hospital that answers with whatever it likes."""

    def __init__(self, honest: Describer, spoil: Callable[[dict[str, Any]], Any]):
        self._honest, self._spoil = honest, spoil

    def perform(self, assignment: Assignment[Any]) -> Result[Any]:
        result = self._honest.perform(assignment)
        return Result(result.task_id, None, self._spoil(dict(result.report)), result.images)


def summary_with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda report: {"summary": {**report["summary"], **changes}}


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a file's name": summary_with(file="QUIXOTE.dcm"),
    "a class of its own": summary_with(corpus=["<script>alert(1)</script>"]),
    "a text for a number": summary_with(patients="QUIXOTE"),
    "a grey beyond the range": summary_with(grey={"dark": 0.0, "middle": 1e9, "bright": 1.0}),
    "a thousand sizes": summary_with(sizes=[{"columns": 1, "rows": 1, "files": 9}] * 1000),
    "nothing": lambda report: {},
    "no object": lambda report: {"summary": ["QUIXOTE"]},
}


def test_every_hospital_is_told_of_and_the_page_holds_all_of_it(consortium: dict[str, Path]) -> None:
    record = survey_in_process(SETTINGS, consortium)
    assert record["sites"] == sorted(consortium) == record["synthetic"] and not record["lost"]
    assert all(told["trains"] for told in record["summaries"].values())
    page = render_survey(json.loads(json.dumps(record)))
    for word in (*consortium, *CLASSES, *(one["text"] for one in record["remarks"])):
        assert word in page
    reader = PageReader()
    reader.feed(page)
    reader.close()
    assert "script" not in reader.tags and not reader.unbalanced and len(reader.tables) >= 4


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_hospital_that_says_more_or_other_than_it_may_is_lost_and_the_others_are_not(
    spoil: Callable[[dict[str, Any]], Any], consortium: dict[str, Path]
) -> None:
    workers: dict[str, Any] = {name: Describer(name, folder, SETTINGS) for name, folder in consortium.items()}
    first, *others = sorted(workers)
    workers[first] = Hostile(workers[first], spoil)
    record = survey(SETTINGS, sorted(workers), InProcessTransport(workers), lambda event: None)
    assert record["sites"] == others and [lost["site"] for lost in record["lost"]] == [first]
    assert "QUIXOTE" not in json.dumps(record["summaries"]) and "<script" not in render_survey(
        record | {"versions": {}}
    )


def test_weights_are_refused_at_both_ends(consortium: dict[str, Path]) -> None:
    name, folder = next(iter(sorted(consortium.items())))
    honest = Describer(name, folder, SETTINGS)

    class Smuggler(Hostile):
        def perform(self, assignment: Assignment[Any]) -> Result[Any]:
            result = honest.perform(assignment)
            return Result(result.task_id, {"pixels": torch.ones(3)}, result.report, result.images)

    with pytest.raises(QuorumError):
        survey(SETTINGS, [name], InProcessTransport({name: Smuggler(honest, dict)}), lambda event: None)
    with pytest.raises(Exception, match="no weights"):
        honest.perform(Assignment(Task(Stage.DESCRIBE, 0, name, name), {"student": {}}))


def test_the_hospitals_least_holds_against_the_job(consortium: dict[str, Path]) -> None:
    name, folder = next(iter(sorted(consortium.items())))
    task = Assignment[Any](Task(Stage.DESCRIBE, 0, name, name), {})
    told = Describer(name, folder, SETTINGS, least=1000).perform(task).report["summary"]
    assert set(told["frames"].values()) == {None} and told["sizes"] == []


def test_a_hospital_without_usable_data_is_lost_and_names_nothing(consortium: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "QUIXOTE").mkdir()
    record = survey_in_process(SETTINGS, {**consortium, "broken": tmp_path / "QUIXOTE"})
    assert [lost["site"] for lost in record["lost"]] == ["broken"] and "broken" not in record["sites"]


def test_classes_of_others_are_a_number_and_other_spellings_are_known() -> None:
    entry = {"train": 9, "val": 9, "test": 9, "undecided": 0, "share": 0.1}
    summary = {
        "corpus": ["Guide wire", "stent of QUIXOTE"],
        "test_corpus": ["Guide wire"],
        "classes": {"Guide wire": entry, "stent of QUIXOTE": entry},
    }
    told = known_only(summary, CLASSES)
    assert told == {
        "corpus": ["guidewire"],
        "test_corpus": ["guidewire"],
        "classes": {"guidewire": entry},
        "others": 1,
        "respelled": 1,
    }
