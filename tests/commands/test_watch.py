"""`fedefm watch` by what its looks bring: when it ends, with which exit code, and what it prints."""

import json

import pytest

from fedefm.cli import main
from fedefm.commands.watch import follow, on_change, plain
from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.messages import Stage
from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.flare.watching import Seen


def running(round_=0, condition=Condition.WORKING, done=0):
    hospital = HospitalStatus("a", condition, done=done)
    return Seen("job", "RUNNING", JobStatus("job", 2.0, 1.0, round_, 4, Stage.LOCAL, None, "", "", (hospital,)))


def over(how):
    return Seen("job", f"FINISHED:{how}", None)


def followed(*looks, once=False):
    """Exit code, and what was shown; a look that is an error is raised."""
    left, shown = list(looks), []

    def look():
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return follow(look, shown.append, once=once, pause=0.0), shown


@pytest.mark.parametrize(("how", "code"), [("COMPLETED", 0), ("EXECUTION_EXCEPTION", 1), ("ABANDONED", 1)])
def test_it_ends_with_the_job_and_says_how(how, code):
    looks = (Seen("job", "SUBMITTED", None), running(), running(1), over(how))
    assert followed(*looks) == (code, list(looks))


def test_once_is_once():
    assert followed(running(), once=True) == (0, [running()])
    assert followed(over("ABANDONED"), once=True)[0] == 0


def test_a_server_that_is_silent_for_a_moment_is_asked_again(monkeypatch):
    assert followed(running(), FedefmError("no answer"), over("COMPLETED"))[0] == 0
    with pytest.raises(FedefmError, match="no answer"):
        followed(FedefmError("no answer"), once=True)
    monkeypatch.setattr("fedefm.commands.watch.RETRY_SECONDS", 0.0)
    with pytest.raises(FedefmError, match="no answer"):
        followed(running(), FedefmError("no answer"))


def test_a_job_that_is_not_there_is_not_asked_for_again():
    with pytest.raises(ConfigError):
        followed(ConfigError("none of this id"), over("COMPLETED"))


def test_without_a_terminal_only_news_is_printed():
    shown = []
    show = on_change(shown.append)
    news = [running(), running(1), running(1, Condition.SLOW), over("COMPLETED")]
    for seen in (news[0], running(done=1), news[1], running(1, done=2), *news[2:]):
        show(seen)
    assert shown == news


def test_json_holds_all_that_is_known():
    found = json.loads(json.dumps(plain(running())))
    assert (found["flare"], found["status"]["hospitals"][0]["condition"]) == ("RUNNING", "working")


def test_wrong_words_are_answered_in_one_line(tmp_path, capsys):
    assert main(["watch", "../job", "--startup-kit", str(tmp_path)]) == 2
    assert main(["watch", "job", "--startup-kit", str(tmp_path)]) == 2
    assert main(["watch", "job", "--startup-kit", str(tmp_path), "--page", "--once"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and "not the id of a job" in said[0] and "not one participant's kit" in said[1]
