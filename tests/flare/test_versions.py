"""Server and hospital of other versions part in words; what a peer says of its versions is hostile until looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply

from fedefm.errors import DataError
from fedefm.exchange.messages import Assignment, Loss, Lost, Result, Stage, Task
from fedefm.flare import versions
from fedefm.flare.envelope import encode_assignment, encode_error, encode_result, reason_of
from fedefm.flare.transport import open_reply
from fedefm.flare.versions import HEADER, VersionsError, check_server, differing, own, tell

TASK = Task(Stage.PREPARE, 0, "a", "a")


def saying(value: object) -> Shareable:
    message = make_reply(ReturnCode.OK)
    message.set_header(HEADER, value)
    return message


def test_both_ends_of_one_version_work_together() -> None:
    check_server(encode_assignment(Assignment(TASK, {})))
    reply = encode_result(Result(TASK.id, None, {"corpus": [], "images": {}}, 3))
    assert isinstance(open_reply(TASK, "a", reply), Result)
    assert differing(tell(Shareable()), "it", "the server") is None


@pytest.mark.parametrize("found", ["0.1.0", "0.1.17", "0.1", "0.1.0rc2", "0.1.0+cpu"])
def test_a_series_works_together(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "own", lambda: {"fedefm": "0.1.3", "nvflare": "2.9.0"})
    check_server(saying({"fedefm": found, "nvflare": "2.9.1", "torch": "9"}))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"fedefm": "0.2.0", "nvflare": "2.9.0"}, "the server has fedefm 0.2.0, this hospital has 0.1.3"),
        ({"fedefm": "0.11.0", "nvflare": "2.9.0"}, "the server has fedefm 0.11.0"),
        ({"fedefm": "0.1.3", "nvflare": "2.8.1"}, "the server has nvflare 2.8.1, this hospital has 2.9.0"),
        ({"fedefm": "0.1.3"}, "names no version of nvflare"),
        (None, "names no versions, so its fedefm is older"),
    ],
)
def test_other_versions_are_named(found: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "own", lambda: {"fedefm": "0.1.3", "nvflare": "2.9.0"})
    with pytest.raises(VersionsError, match=words):
        check_server(saying(found))


def test_a_hospital_of_another_version_is_lost_and_both_versions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here = own()
    with monkeypatch.context() as there:
        there.setattr(versions, "own", lambda: {"fedefm": "7.5.0", "nvflare": here["nvflare"]})
        replies = [encode_error(VersionsError("words for its own log")), encode_error(DataError("/secret/name.png"))]
        replies.append(encode_result(Result(TASK.id, None, {}, 3)))
    for reply in replies:
        lost = open_reply(TASK, "a", reply)
        assert isinstance(lost, Lost) and lost.kind is Loss.FAILED
        assert lost.reason == f"it has fedefm 7.5.0, the server has {here['fedefm']}; install the same fedefm at both"


def test_an_error_that_flare_itself_reports_says_what_flare_said() -> None:
    assert reason_of(make_reply(ReturnCode.TASK_ABORTED)) == f"FLARE return code {ReturnCode.TASK_ABORTED}"


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
    )
    | st.dictionaries(st.sampled_from(["fedefm", "nvflare"]), st.text(max_size=60) | st.just("0.1.0") | st.none())
)
def test_whatever_stands_there_is_answered_in_one_short_line(value: object) -> None:
    words = differing(saying(value), "it", "the server")
    assert words is None or (words.isprintable() and len(words) < 200)
