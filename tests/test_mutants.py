"""The mutants of `make mutants` still fit the sources: one whose text is gone would take nothing out."""

from pathlib import Path

import pytest

from mutants import FLARE, MUTANTS, PACKAGES, Edit

ROOT = Path(__file__).parents[1]
EDITS = sorted({edit for mutant in MUTANTS for edit in mutant.edits})


@pytest.mark.parametrize("edit", EDITS, ids=range(len(EDITS)))
def test_what_a_mutant_takes_out_is_there(edit: Edit) -> None:
    file, text, instead = edit
    source = ((PACKAGES if file.startswith(FLARE) else ROOT) / file).read_text()
    assert text in source and text != instead
