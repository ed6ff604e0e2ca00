from typing import Any

import pytest

from support.fake_report import fake_comparison, fake_report


@pytest.fixture
def report() -> dict[str, Any]:
    return fake_report()


@pytest.fixture
def comparison() -> dict[str, Any]:
    return fake_comparison()
