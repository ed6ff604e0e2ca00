"""The mutants of `make mutants` still fit sources and tests: one whose text or test is gone would prove nothing."""

from pathlib import Path

import pytest

from mutants import ALL_CHECKS, FLARE, MUTANTS, PACKAGES, Edit

ROOT = Path(__file__).parents[1]
EDITS = sorted({edit for mutant in MUTANTS for edit in mutant.edits})


@pytest.mark.parametrize("edit", EDITS, ids=range(len(EDITS)))
def test_what_a_mutant_takes_out_is_there(edit: Edit) -> None:
    file, text, instead = edit
    source = ((PACKAGES if file.startswith(FLARE) else ROOT) / file).read_text()
    assert text in source and text != instead


@pytest.mark.parametrize("test", ALL_CHECKS.tests)
def test_a_test_that_must_notice_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text() if name else (ROOT / file).exists()
