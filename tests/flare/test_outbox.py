"""What the ledger says of a reply, for each kind of reply and whoever else has changed it."""

import json

import pytest
import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fedefm.errors import DataError
from fedefm.exchange.messages import Result
from fedefm.flare.envelope import LacksError, encode_error, encode_lacks, encode_result, seal
from fedefm.flare.job_executor import JobExecutor
from fedefm.maths.fingerprint import weights_sha256
from fedefm.training.wire import TensorWire
from fedefm.trust import sign_job
from fedefm.trust.ledger import OUTBOX, Ledger
from support.consortium_certificates import Authority, write_job
from support.flare_site import job_context

WEIGHTS = {"w": torch.arange(10, dtype=torch.float32), "steps": torch.tensor(3)}
REPORT = {"loss": 0.5, "scores": {"vessel": {"dice": 0.25, "support": 7}}, "trail": [{"x": 1}, {"x": 2}]}


class Quiet(JobExecutor):
    """Does no work of its own: its replies are made here."""

    def open_site(self, *given):
        raise NotImplementedError


@pytest.fixture
def fl_ctx(tmp_path):
    return job_context(tmp_path, "foundation.json", {})


def leaves(reply, fl_ctx):
    fl_ctx.set_prop(FLContextKey.TASK_RESULT, reply, private=True, sticky=False)
    Quiet("foundation.json").handle_event(EventType.AFTER_TASK_RESULT_FILTER, fl_ctx)
    return reply


def lines(tmp_path):
    return Ledger(tmp_path, OUTBOX).read()


def test_a_result_is_noted_with_figures_bytes_and_hashes(fl_ctx, tmp_path):
    leaves(encode_result(Result("0/overseas/west@north", WEIGHTS, REPORT, 12)), fl_ctx)
    (line,) = lines(tmp_path)
    assert line["figures"] == ["loss", "scores.vessel.dice", "scores.vessel.support", "trail.x", "images"]
    assert (line["what"], line["task"], line["about"]) == ("result", "0/overseas/west@north", "west")
    assert line["weights"] == weights_sha256(WEIGHTS)
    assert (line["recipient"], line["signer"]) == ("server", "(unsigned)")
    assert 48 < line["bytes"] < 1000 and len(line["sha256"]) == 64
    assert "0.25" not in json.dumps(line)  # names of figures, no figures


def test_what_a_filter_made_of_the_weights_is_what_counts(fl_ctx, tmp_path):
    reply = encode_result(Result("0/local/north@north", WEIGHTS, {}, 12), TensorWire("float16"))
    other = WEIGHTS | {"w": WEIGHTS["w"] + 1}
    leaves(seal(reply, other), fl_ctx)
    (line,) = lines(tmp_path)
    assert line["weights"] == weights_sha256({"w": other["w"].half(), "steps": other["steps"]})


def test_two_results_that_differ_in_one_figure_have_two_hashes(fl_ctx, tmp_path):
    for loss in (0.5, 0.5, 0.25):
        leaves(encode_result(Result("0/local/north@north", None, {"loss": loss}, 12)), fl_ctx)
    one, same, other = (line["sha256"] for line in lines(tmp_path))
    assert one == same != other


def test_the_same_reply_is_noted_once(fl_ctx, tmp_path):
    reply = encode_result(Result("0/local/north@north", None, {}, 12))
    leaves(leaves(reply, fl_ctx), fl_ctx)
    assert len(lines(tmp_path)) == 1


def test_errors_and_questions_are_noted_as_such(fl_ctx, tmp_path):
    fl_ctx.set_prop(FLContextKey.TASK_NAME, "local", private=True, sticky=False)
    leaves(encode_error(DataError("/data/patient-7: no")), fl_ctx)
    leaves(encode_lacks(LacksError("0/local/north@north", ["a" * 64])), fl_ctx)
    error, question = lines(tmp_path)
    assert (error["what"], error["task"], error["figures"], error["weights"]) == ("error", "local", [], None)
    assert (question["what"], question["figures"]) == ("lacks", [])
    assert "patient" not in (tmp_path / OUTBOX).read_text()


def test_the_signer_and_the_recipient_are_named(fl_ctx, tmp_path):
    consortium = Authority()
    lead, job = consortium.issue("lead@x", "lead"), write_job(tmp_path / "signed", "round-1")
    sign_job(job, lead.certificate, lead.key)
    (job / "app").rename(tmp_path / "app_north")
    target = tmp_path / "job" / "app_north"
    for path in (tmp_path / "app_north").glob("fedefm-*"):
        path.rename(target / path.name)
    peer = FLContext()
    peer.set_prop("__identity_name__", "fedefm.example.org", private=False, sticky=False)
    fl_ctx.set_peer_context(peer)
    leaves(encode_result(Result("0/local/north@north", None, {}, 12)), fl_ctx)
    (line,) = lines(tmp_path)
    assert (line["signer"], line["name"], line["recipient"]) == ("lead@x", "round-1", "fedefm.example.org")


@pytest.mark.parametrize("damage", ["no text", "a manifest that nobody can read", "a ledger that was cut"])
def test_whatever_goes_wrong_nothing_leaves(damage, fl_ctx, tmp_path):
    leaves(encode_result(Result("0/local/north@north", None, {}, 12)), fl_ctx)
    if damage == "no text":
        (tmp_path / f"{OUTBOX}.head").write_bytes(b"\xff")
    elif damage == "a ledger that was cut":
        (tmp_path / OUTBOX).write_text("")
    else:
        (tmp_path / "job" / "app_north" / "fedefm-manifest.json").write_text("{}")
    before = (tmp_path / OUTBOX).read_bytes()
    reply = leaves(encode_result(Result("0/local/north@north", WEIGHTS, REPORT, 12)), fl_ctx)
    assert reply.get("weights") is None and reply.get("report") is None and reply.get_return_code() != "OK"
    assert (tmp_path / OUTBOX).read_bytes() == before
