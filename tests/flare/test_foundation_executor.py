"""The executor and the persistor on FLARE's own workspace layout, with a real hospital behind them."""

import json
import logging

import pytest
import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.apis.workspace import Workspace
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.data.synth.looks import CLASSES
from fedefm.errors import CheckpointError, ConfigError
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.flare.envelope import decode_result, encode_assignment, reason_of
from fedefm.flare.foundation_controller import write_record
from fedefm.flare.foundation_executor import HospitalExecutor
from fedefm.flare.job_files import output_folder, read_settings
from fedefm.flare.persistor import PATH, SafetensorsPersistor
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.models.spec import ModelSpec

SETTINGS = Settings(classes=tuple(CLASSES), size=32, model=ModelSpec("Unet", "tu-test_resnet"))


class Engine:
    """Knows the workspace and keeps the events that a component fires."""

    def __init__(self, workspace):
        self.workspace, self.fired = workspace, []

    def get_workspace(self):
        return self.workspace

    def fire_event(self, event_type, fl_ctx):
        self.fired.append(event_type)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_consortium(tmp_path_factory.mktemp("sites"), sites=default_sites(1), frames_per_site=10, size=64)[0]


@pytest.fixture
def fl_ctx(tmp_path):
    """Context of job `job` at the site `north`, whose configuration is still missing."""
    for folder in ("startup", "local"):
        (tmp_path / folder).mkdir()
    workspace = Workspace(str(tmp_path), "north")
    fl_ctx = FLContext()
    for key, value in (
        (ReservedKey.ENGINE, Engine(workspace)),
        (ReservedKey.RUN_NUM, "job"),
        (ReservedKey.IDENTITY_NAME, "north"),
    ):
        fl_ctx.set_prop(key, value, private=True, sticky=False)
    config = tmp_path / "job" / "app_north" / "config"
    config.mkdir(parents=True)
    (config / "foundation.json").write_text(json.dumps(SETTINGS.to_dict()))
    return fl_ctx


def configure(tmp_path, **values):
    (tmp_path / "local" / "fedefm_site.json").write_text(json.dumps(values))


def started(fl_ctx):
    executor = HospitalExecutor()
    executor.handle_event(EventType.START_RUN, fl_ctx)
    return executor


def ask(executor, fl_ctx, task, models=None):
    return executor.execute(task.stage.value, encode_assignment(Assignment(task, models or {})), fl_ctx, Signal())


def start_weights():
    return initial_weights(SETTINGS.model, len(CLASSES) + 1, SETTINGS.size, 0)


PREPARE = Task(Stage.PREPARE, 0, "north", "north")
LOCAL = Task(Stage.LOCAL, 0, "north", "north", steps=1, seed=3)


def test_a_replaced_process_gives_the_same_result_as_the_one_it_replaces(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data))
    used, fresh = started(fl_ctx), started(fl_ctx)
    assert decode_result(ask(used, fl_ctx, PREPARE), PREPARE).report["corpus"]
    replies = [ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()}) for executor in (used, fresh)]
    expected = Hospital("north", data, SETTINGS).perform(Assignment(LOCAL, {STUDENT: start_weights()}))
    for reply in replies:
        assert weights_sha256(decode_result(reply, LOCAL).weights) == weights_sha256(expected.weights)
    assert fl_ctx.get_engine().fired.count("analytix_log_stats") == 4  # loss and Dice, twice


def test_a_missing_site_configuration_is_told_by_its_class_alone(fl_ctx, tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        reply = ask(started(fl_ctx), fl_ctx, PREPARE)
    assert reason_of(reply).startswith("ConfigError")
    assert str(tmp_path) not in repr(dict(reply))
    assert "fedefm_site.json" in caplog.text


def test_broken_data_is_told_by_its_class_alone(fl_ctx, tmp_path, caplog):
    configure(tmp_path, data=str(tmp_path / "patient-4711"))
    with caplog.at_level(logging.ERROR):
        reply = ask(started(fl_ctx), fl_ctx, PREPARE)
    assert reason_of(reply).startswith("DataError")
    assert "4711" not in repr(dict(reply))
    assert "4711" in caplog.text


@pytest.mark.parametrize(
    ("task", "models", "reason"),
    [
        (Task(Stage.LOCAL, 0, "south", "south", steps=1), {STUDENT: {"w": torch.zeros(1)}}, "ProtocolError"),
        (Task(Stage.LOCAL, 0, "north", "north", steps=9), {STUDENT: {"w": torch.zeros(1)}}, "ProtocolError"),
        (LOCAL, {}, "ProtocolError"),
        (LOCAL, {STUDENT: {"w": torch.zeros(1)}}, "Error"),
    ],
    ids=["another site's", "too long", "no weights", "another network's weights"],
)
def test_work_that_cannot_be_done_is_refused_and_the_next_is_done(fl_ctx, tmp_path, data, task, models, reason):
    configure(tmp_path, data=str(data), max_steps=5)
    executor = started(fl_ctx)
    assert reason_of(ask(executor, fl_ctx, task, models)).split(":")[0].endswith(reason)
    assert reason_of(ask(executor, fl_ctx, PREPARE)) is None


def test_start_weights_are_those_of_the_seed(fl_ctx):
    loaded = SafetensorsPersistor().load(fl_ctx)[ModelLearnableKey.WEIGHTS]
    assert weights_sha256(loaded) == weights_sha256(start_weights())


def test_a_saved_model_comes_back_and_an_altered_one_does_not(fl_ctx):
    persistor, weights = SafetensorsPersistor(), start_weights()
    persistor.save(make_model_learnable(weights, {PATH: "models/north.safetensors"}), fl_ctx)
    assert weights_sha256(persistor.get("models/north.safetensors", fl_ctx)[ModelLearnableKey.WEIGHTS]) == (
        weights_sha256(weights)
    )
    path = output_folder(fl_ctx) / "models" / "north.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        persistor.get("models/north.safetensors", fl_ctx)


@pytest.mark.parametrize("name", ["../foundation.json", "/etc/passwd", "sub/foundation.json"])
def test_a_job_cannot_name_settings_elsewhere(fl_ctx, name):
    with pytest.raises(ConfigError, match="plain name"):
        read_settings(fl_ctx, name)


def test_a_record_that_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path / "record.json", {"dice": float("nan")})
    assert not list(tmp_path.iterdir())
