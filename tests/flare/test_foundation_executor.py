"""The executor on FLARE's own workspace layout, with a real hospital behind it."""

import json
import logging
import shutil

import pytest
import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.shareable import ReservedHeaderKey
from nvflare.apis.signal import Signal

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.data.synth.looks import CLASSES
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.exchange.traffic import Parcel
from fedefm.flare.envelope import REASON, decode_result, encode_assignment, held_of, lacks, reason_of
from fedefm.flare.foundation_executor import FoundationExecutor
from fedefm.flare.versions import HEADER as VERSIONS
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import SETTINGS_FILE, Settings
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.models.spec import ModelSpec
from fedefm.training.weights_store import FOLDER
from fedefm.trust.ledger import OUTBOX, Ledger
from support.flare_site import job_context

SETTINGS = Settings(classes=tuple(CLASSES), size=32, model=ModelSpec("Unet", "tu-test_resnet"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_consortium(tmp_path_factory.mktemp("sites"), sites=default_sites(1), frames_per_site=10, size=64)[0]


@pytest.fixture
def fl_ctx(tmp_path):
    return job_context(tmp_path, SETTINGS_FILE, SETTINGS.to_dict())


def configure(tmp_path, **values):
    (tmp_path / "local" / "fedefm_site.json").write_text(json.dumps(values))


def started(fl_ctx):
    executor = FoundationExecutor()
    executor.handle_event(EventType.START_RUN, fl_ctx)
    return executor


def ask(executor, fl_ctx, task, models=None):
    """A reply as it leaves: FLARE runs the filters, and then fires this event."""
    reply = executor.execute(task.stage.value, encode_assignment(Assignment(task, models or {})), fl_ctx, Signal())
    fl_ctx.set_prop(FLContextKey.TASK_RESULT, reply, private=True, sticky=False)
    executor.handle_event(EventType.AFTER_TASK_RESULT_FILTER, fl_ctx)
    return reply


def start_weights():
    return initial_weights(SETTINGS.model, len(CLASSES) + 1, SETTINGS.size, 0)


PREPARE = Task(Stage.PREPARE, 0, "north", "north")
LOCAL = Task(Stage.LOCAL, 0, "north", "north", steps=1, seed=3)


def test_a_replaced_process_gives_the_same_result_as_the_one_it_replaces(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
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
    assert "4711" not in caplog.text and "fedefm data check" in caplog.text


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
    configure(tmp_path, data=str(data), max_steps=5, least_images=1)
    executor = started(fl_ctx)
    assert reason_of(ask(executor, fl_ctx, task, models)).split(":")[0].endswith(reason)
    assert reason_of(ask(executor, fl_ctx, PREPARE)) is None


def test_d7_no_error_of_a_hospitals_data_writes_a_files_name_into_its_log(fl_ctx, tmp_path, data, caplog, monkeypatch):
    """Of a data error, of another library's error, and of what chains them."""
    broken = tmp_path / "hospital"
    shutil.copytree(data, broken)
    image = sorted((broken / "images").iterdir())[0]
    for folder in ("images", "masks"):
        (broken / folder / image.name).rename(broken / folder / "NAME_First_1951.png")
    (broken / "masks" / "NAME_First_1951.png").unlink()
    configure(tmp_path, data=str(broken), least_images=1)
    executor = started(fl_ctx)
    with caplog.at_level(logging.DEBUG):
        assert reason_of(ask(executor, fl_ctx, PREPARE)).startswith("DataError")
        monkeypatch.setattr(Hospital, "data", property(lambda self: (broken / "NAME_First_1951.png").read_bytes()))
        assert reason_of(ask(executor, fl_ctx, PREPARE)).startswith("Error")
    assert "FileNotFoundError; job_executor.py:" in caplog.text
    assert "NAME" not in caplog.text and "1951" not in caplog.text


def test_a_hospital_with_fewer_images_than_its_least_does_not_train(fl_ctx, tmp_path, data, caplog):
    configure(tmp_path, data=str(data), least_images=100)
    assert reason_of(ask(started(fl_ctx), fl_ctx, PREPARE)).startswith("ConfigError")
    assert "lower 'least_images'" in caplog.text


def naming(executor, fl_ctx, sha256, wanted=()):
    """The reply to a task that names its weights and brings none."""
    message = encode_assignment(Assignment(LOCAL, {}), Parcel({STUDENT: sha256}, frozenset()), wanted=wanted)
    return executor.execute(LOCAL.stage.value, message, fl_ctx, Signal())


def test_weights_that_were_sent_or_returned_need_not_be_sent_again(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
    assert held_of(ask(started(fl_ctx), fl_ctx, PREPARE)) == frozenset()
    first = ask(started(fl_ctx), fl_ctx, LOCAL, {STUDENT: start_weights()})
    start, trained = weights_sha256(start_weights()), weights_sha256(decode_result(first, LOCAL).weights)
    assert held_of(first) == {start, trained}
    again = naming(started(fl_ctx), fl_ctx, start, wanted=[trained])  # a process that took the place of the first one
    assert weights_sha256(decode_result(again, LOCAL).weights) == trained
    assert held_of(again) == {start, trained}


def test_a_hospital_that_lost_what_it_held_asks_for_it(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
    executor = started(fl_ctx)
    ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()})
    shutil.rmtree(tmp_path / "job" / FOLDER)
    reply = naming(executor, fl_ctx, weights_sha256(start_weights()))
    assert lacks(reply) and held_of(reply) == frozenset()
    assert held_of(ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()}))


def test_a_hospital_that_keeps_nothing_says_so(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1, weights_megabytes=0)
    executor = started(fl_ctx)
    assert held_of(ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()})) is None
    assert lacks(naming(executor, fl_ctx, weights_sha256(start_weights())))


def test_it_tells_of_nothing_that_it_was_not_asked_about(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
    ask(started(fl_ctx), fl_ctx, LOCAL, {STUDENT: start_weights()})
    other = {name: value + 1 for name, value in start_weights().items()}
    told = held_of(naming(started(fl_ctx), fl_ctx, weights_sha256(other)))
    assert told == frozenset() and len(list((tmp_path / "job" / FOLDER).iterdir())) == 2


def test_when_the_job_is_over_nothing_stays(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
    executor = started(fl_ctx)
    ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()})
    assert (tmp_path / "job" / FOLDER).is_dir()
    executor.handle_event(EventType.END_RUN, fl_ctx)
    assert not (tmp_path / "job" / FOLDER).exists()


def test_what_leaves_stands_in_the_ledger_of_the_site(fl_ctx, tmp_path, data):
    configure(tmp_path, data=str(data), least_images=1)
    executor = started(fl_ctx)
    ask(executor, fl_ctx, PREPARE)
    reply = ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()})
    first, second = Ledger(tmp_path, OUTBOX).read()
    assert (first["task"], first["weights"], first["job"]) == (PREPARE.id, None, "job")
    assert {"corpus", "images", "images.train"} <= set(first["figures"])
    sent = decode_result(reply, LOCAL).weights
    assert second["weights"] == weights_sha256(sent)
    assert (
        set(second["figures"]) == {"images", "loss", "rate_sum", "val_dice.dice", "val_dice.iou"} or second["figures"]
    )
    assert second["bytes"] > sum(value.nbytes for value in sent.values())


def test_a_ledger_that_cannot_be_written_keeps_everything_in_the_hospital(fl_ctx, tmp_path, data, caplog):
    configure(tmp_path, data=str(data), least_images=1)
    executor = started(fl_ctx)
    (tmp_path / OUTBOX).mkdir()
    with caplog.at_level(logging.ERROR):
        reply = ask(executor, fl_ctx, LOCAL, {STUDENT: start_weights()})
    assert reason_of(reply).startswith("TrustError: its ledger of what leaves cannot be written")
    assert set(reply) == {ReservedHeaderKey.HEADERS}
    assert set(reply[ReservedHeaderKey.HEADERS]) == {REASON, VERSIONS, ReservedHeaderKey.RC}
    assert "analytix_log_stats" not in fl_ctx.get_engine().fired
    (line,) = [record.getMessage() for record in caplog.records if "nothing was sent" in record.getMessage()]
    assert "\n" not in line
