"""A ledger on the disk: what was done to it is found and named, and what cannot be written is an error."""

import json
import os
import threading

import pytest

from fedefm.errors import TrustError
from fedefm.trust.ledger import OUTBOX, Head, Ledger
from support.rooms import Room


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, OUTBOX)


@pytest.fixture
def path(ledger, tmp_path):
    """Five lines."""
    for number in range(5):
        ledger.append("sent", task=str(number))
    return tmp_path / OUTBOX


def rewrite(path, change):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))


def test_lines_come_back_in_order_with_time_and_number(ledger, path):
    lines = ledger.read()
    assert [(line["line"], line["event"], line["task"]) for line in lines] == [
        (n + 1, "sent", str(n)) for n in range(5)
    ]
    assert all(line["time"].endswith("Z") for line in lines)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Ledger(path.parent, "another").read() == [] and Ledger(path.parent, "another").end() == Head()


DAMAGES = {
    "changed": (lambda lines: [*lines[:2], lines[2].replace(b'"2"', b'"7"'), *lines[3:]], "line 3 was changed"),
    "the first changed": (lambda lines: [lines[0].replace(b'"0"', b'"7"'), *lines[1:]], "line 1 was changed"),
    "the last changed": (lambda lines: [*lines[:4], lines[4].replace(b'"4"', b'"7"')], "line 5 was changed"),
    "one taken out": (lambda lines: [*lines[:2], *lines[3:]], "line 3 is missing"),
    "several taken out": (lambda lines: [lines[0], lines[4]], "lines 2 to 4 are missing"),
    "the end cut off": (lambda lines: lines[:3], "lines 4 to 5 are missing at its end"),
    "all cut off": (lambda lines: [], "lines 1 to 5 are missing at its end"),
    "two swapped": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2 is missing"),
    "one twice": (lambda lines: [*lines[:2], lines[1], *lines[2:]], "line 3 does not belong there"),
    "half a line": (lambda lines: [*lines[:2], lines[2][:9] + b"\n", *lines[3:]], "line 3 is damaged"),
    "lines of somebody else": (lambda lines: lines + forged(lines[4]), "lines 6 to 7 are added"),
}


def forged(last):
    import hashlib

    one = json.dumps({"line": 6, "event": "sent", "before": hashlib.sha256(last).hexdigest()}).encode() + b"\n"
    return [one, json.dumps({"line": 7, "event": "sent", "before": hashlib.sha256(one).hexdigest()}).encode() + b"\n"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_done_to_it_is_named_and_nothing_more_is_added(ledger, path, damage):
    change, fault = DAMAGES[damage]
    rewrite(path, change)
    before = path.read_bytes()
    with pytest.raises(TrustError, match=fault):
        ledger.read()
    if damage in ("the last changed", "the end cut off", "all cut off", "lines of somebody else"):
        with pytest.raises(TrustError, match=fault):
            ledger.append("sent")
        assert path.read_bytes() == before


def test_a_head_that_was_taken_away_or_damaged_is_named(ledger, path):
    head = path.with_name(f"{OUTBOX}.head")
    head.write_text("x")
    with pytest.raises(TrustError, match="head of a ledger of this site: damaged"):
        ledger.append("sent")
    head.unlink()
    with pytest.raises(TrustError, match=r"\.head is missing"):
        ledger.append("sent")


def test_a_ledger_written_anew_lacks_the_hash_that_was_noted(ledger, path, tmp_path):
    noted = ledger.end()
    ledger.append("sent")
    ledger.must_hold(noted.sha256)
    for file in tmp_path.iterdir():
        file.unlink()
    for number in range(6):
        ledger.append("sent", task=f"nothing of {number}")
    assert len(ledger.read()) == 6
    with pytest.raises(TrustError, match="cut or written anew"):
        ledger.must_hold(noted.sha256)


def test_the_chain_goes_on_from_file_to_file(tmp_path):
    ledger = Ledger(tmp_path, OUTBOX, close_at=400)
    for number in range(9):
        ledger.append("sent", task=str(number))
    closed = sorted(tmp_path.glob(f"{OUTBOX}.0*"))
    assert [path.name for path in closed] == [f"{OUTBOX}.00000{n}" for n in range(1, len(closed) + 1)] and closed
    assert [line["line"] for line in ledger.read()] == list(range(1, 10))
    rewrite(closed[0], lambda lines: lines[:-1])
    with pytest.raises(TrustError, match="missing"):
        ledger.read()
    closed[0].unlink()
    with pytest.raises(TrustError, match="lines 1 to"):
        ledger.read()


def test_a_file_that_was_closed_when_the_machine_stopped_is_gone_on_from(tmp_path):
    ledger = Ledger(tmp_path, OUTBOX, close_at=1)
    ledger.append("sent")
    (tmp_path / OUTBOX).rename(tmp_path / f"{OUTBOX}.000001")
    ledger.append("sent")
    assert [line["line"] for line in ledger.read()] == [1, 2]


def test_a_power_cut_in_the_middle_of_a_line_costs_that_line_alone(ledger, path):
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"line": 6, "ev')
    ledger.append("sent", task="6")
    assert path.read_bytes().startswith(whole) and [line["task"] for line in ledger.read()][4:] == ["4", "6"]


def test_a_power_cut_before_the_end_was_noted_costs_nothing(ledger, path):
    head = path.with_name(f"{OUTBOX}.head")
    noted = head.read_bytes()
    ledger.append("sent", task="5")
    head.write_bytes(noted)
    assert len(ledger.read()) == 6
    ledger.append("sent", task="6")
    assert [line["line"] for line in ledger.read()][-2:] == [6, 7]


def test_a_power_cut_before_the_end_was_noted_for_the_first_time_costs_nothing(tmp_path):
    ledger = Ledger(tmp_path, OUTBOX)
    ledger.append("sent")
    (tmp_path / f"{OUTBOX}.head").write_bytes(b"")
    assert len(ledger.read()) == 1
    ledger.append("sent")
    assert [line["line"] for line in ledger.read()] == [1, 2]


def test_lines_of_a_version_without_a_chain_stay_and_are_bound_by_the_next_one(tmp_path):
    path = tmp_path / OUTBOX
    path.write_text('{"event": "deployed"}\n{"event": "launched"}\n')
    ledger = Ledger(tmp_path, OUTBOX)
    assert len(ledger.read()) == 2
    ledger.append("deployed")
    assert [line.get("line") for line in ledger.read()] == [None, None, 3]
    rewrite(path, lambda lines: [lines[0], b'{"event": "refused"}\n', lines[2]])
    with pytest.raises(TrustError, match="line 2 was changed"):
        ledger.read()


def test_processes_do_not_write_into_each_other(tmp_path):
    def work():
        for _ in range(20):
            Ledger(tmp_path, OUTBOX, close_at=1000).append("sent")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(Ledger(tmp_path, OUTBOX).read()) == 80


def test_a_line_that_could_not_be_written_whole_leaves_no_half(ledger, path, monkeypatch):
    whole, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:9]))
    with pytest.raises(TrustError, match="No space left"):
        ledger.append("sent")
    monkeypatch.undo()
    assert path.read_bytes() == whole and len(ledger.read()) == 5


def test_a_place_where_nothing_can_be_written_is_told_in_one_line(tmp_path):
    with pytest.raises(TrustError, match="cannot be written or read") as caught:
        Ledger(tmp_path / "nowhere", OUTBOX).append("sent")
    assert "\n" not in str(caught.value)


def _append(place):
    try:
        Ledger(place, OUTBOX).append("sent", task="x" * 10_000)
    except TrustError as error:
        return str(error)
    return ""


def _on_a_full_disk(place):
    from support.rooms import disk, fill

    with disk(place):
        assert not _append(place)
        fill(place, 0)
        return _append(place), len(Ledger(place, OUTBOX).read())


def test_a_full_disk_is_told_and_the_ledger_stays_whole(tmp_path):
    room = Room()
    try:
        if room.reason:
            pytest.skip(f"this machine has no mounts of our own: {room.reason}")
        said, lines = room.call(_on_a_full_disk, tmp_path / "disk")
    finally:
        room.close()
    assert "No space left" in said and lines == 1
