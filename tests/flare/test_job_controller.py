"""What the controllers share: how a job ends, well or badly, and what is published then."""

import ast
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.fuel.utils.log_utils import BaseFormatter

from fedefm.errors import QuorumError
from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.flare import job_controller
from fedefm.flare.evaluation_controller import EvaluationController
from fedefm.flare.evaluation_executor import EvaluationExecutor
from fedefm.flare.finetune_controller import FineTuneController
from fedefm.flare.finetune_executor import FineTuneExecutor
from fedefm.flare.foundation_controller import FoundationController
from fedefm.flare.foundation_executor import FoundationExecutor
from fedefm.flare.job_controller import JobController
from fedefm.flare.job_executor import JobExecutor
from fedefm.flare.job_files import output_folder, write_record
from fedefm.flare.progress import FAILED, FINISHED, failure_in, finished_line, from_line, is_finished
from fedefm.flare.survey_controller import SurveyController
from fedefm.flare.survey_executor import SurveyExecutor
from support.flare_site import job_context

JOBS = (
    (FoundationController, FoundationExecutor),
    (FineTuneController, FineTuneExecutor),
    (EvaluationController, EvaluationExecutor),
    (SurveyController, SurveyExecutor),
)
FORMAT = "%(asctime)s %(name)s %(levelname)s %(fl_ctx)s %(message)s"  # of log_config.json
EVENT = StageStarted(0, 1, Stage.LOCAL, 2)


class ScriptedController(JobController):
    """A job whose work is to tell an event, and then to go wrong or to be aborted if so told."""

    def __init__(self, error=None, abort=None):
        super().__init__("job.json", 0.1)
        self.error, self.abort = error, abort

    def load(self, path):
        return SimpleNamespace(**json.loads(path.read_text()))

    def work(self, settings, sites, transport, fl_ctx):
        self.tell(EVENT, fl_ctx)
        if self.error:
            raise self.error
        if self.abort:
            self.abort.trigger(True)
        return {"sites": sites, "timeout": transport.timeout}

    def publish(self, settings, done, fl_ctx):
        write_record(fl_ctx, done)


@pytest.fixture
def fl_ctx(tmp_path):
    return job_context(tmp_path, "job.json", {"stage_timeout": 7})


def run(controller, fl_ctx, caplog, abort=None):
    with caplog.at_level(logging.INFO):
        controller.control_flow(abort or Signal(), fl_ctx)
    return [BaseFormatter(FORMAT).format(record) for record in caplog.records]


def told(lines, mark):
    """Failures by kind and text, or the lines that say that the job is over."""
    if mark == FINISHED:
        return [line[line.index(mark) :] for line in lines if is_finished(line)]
    return [(type(found).__name__, str(found)) for line in lines if (found := failure_in(line))]


def test_a_job_publishes_its_record_and_then_says_where(fl_ctx, caplog):
    lines = run(ScriptedController(), fl_ctx, caplog)
    record = json.loads((output_folder(fl_ctx) / "record.json").read_text())
    assert record == {"sites": ["east", "west"], "timeout": 7.0}
    assert told(lines, FINISHED) == [finished_line(str(output_folder(fl_ctx)))] and not told(lines, FAILED)
    assert [event for line in lines if (event := from_line(line))] == [EVENT]
    assert fl_ctx.get_engine().fired == []


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (QuorumError("too few; ask more"), "QuorumError", "too few; ask more"),
        (KeyError("x"), "FedefmError", "internal error (KeyError: 'x')"),
    ],
    ids=["ours", "another"],
)
def test_an_error_ends_the_job_as_failed_and_publishes_nothing(fl_ctx, caplog, error, kind, message):
    lines = run(ScriptedController(error), fl_ctx, caplog)
    assert told(lines, FAILED) == [(kind, message)] and not told(lines, FINISHED)
    assert fl_ctx.get_engine().fired == [EventType.FATAL_SYSTEM_ERROR]
    assert not output_folder(fl_ctx).exists()


def test_settings_that_cannot_be_read_end_the_job_too(fl_ctx, caplog, tmp_path):
    next(tmp_path.rglob("job.json")).unlink()
    assert told(run(ScriptedController(), fl_ctx, caplog), FAILED)
    assert fl_ctx.get_engine().fired == [EventType.FATAL_SYSTEM_ERROR]


def test_a_job_that_was_aborted_publishes_nothing_and_says_nothing(fl_ctx, caplog):
    abort = Signal()
    lines = run(ScriptedController(abort=abort), fl_ctx, caplog, abort)
    assert not told(lines, FINISHED) and not told(lines, FAILED)
    assert not output_folder(fl_ctx).exists() and fl_ctx.get_engine().fired == []


def test_a_late_result_is_refused_by_name(fl_ctx, caplog):
    with caplog.at_level(logging.WARNING):
        ScriptedController().process_result_of_unknown_task(Client("west", "t"), "local", "id", Shareable(), fl_ctx)
    assert "west: a late local result is refused" in caplog.text


@pytest.mark.parametrize(("controller", "executor"), JOBS, ids=lambda cls: cls.__name__)
def test_the_jobs_are_alike_and_none_imports_another(controller, executor):
    """The same functions in each class, and of the package's modules only those that all jobs share."""
    own = {name for name in vars(controller) if not name.startswith("_")}
    assert controller.__bases__ == (JobController,) and own == {"load", "work", "publish"}
    assert executor.__bases__ == (JobExecutor,) and {n for n in vars(executor) if n[0] != "_"} == {"open_site"}
    folder = Path(job_controller.__file__).parent
    for cls in (controller, executor):
        tree = ast.parse((folder / f"{cls.__module__.rpartition('.')[2]}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {other.__module__ for pair in JOBS for other in pair} & imported
