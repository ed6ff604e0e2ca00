from pathlib import Path

import pytest

from fedefm.data.deidentify.journal import Entry, open_journal
from fedefm.errors import ConfigError

ONE, TWO = Entry("a/1", [[1, 2]], ["images/x.dcm"], "p", 3), Entry("caf\udce9", [[4, 5]], [], reason="damaged")
SAID = {"source": "/export"}


def test_entries_are_there_again_whatever_their_names(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", SAID) as journal:
        journal.add(ONE)
        journal.add(TWO)
    with open_journal(tmp_path / "j", SAID) as journal:
        assert {file: entry.reason for file, entry in journal.entries.items()} == {ONE.file: None, TWO.file: "damaged"}
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_left_half_written_does_not_count(tmp_path: Path, cut: int) -> None:
    with open_journal(tmp_path / "j", SAID) as journal:
        journal.add(ONE)
        journal.add(TWO)
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes()[:-cut])
    with open_journal(tmp_path / "j", SAID) as journal:
        assert ONE.file in journal.entries
        journal.add(TWO)
    with open_journal(tmp_path / "j", SAID) as journal:
        assert set(journal.entries) == {ONE.file, TWO.file}


def test_a_journal_of_other_work_or_in_use_is_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", SAID), pytest.raises(ConfigError, match="another process"):
        open_journal(tmp_path / "j", SAID).__enter__()
    with pytest.raises(ConfigError, match="another source"), open_journal(tmp_path / "j", {"source": "/other"}):
        pass
