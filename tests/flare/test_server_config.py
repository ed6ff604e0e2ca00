from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace

from fedefm.errors import ConfigError
from fedefm.flare.server_config import FILE, models_folder


@pytest.fixture
def server(tmp_path: Path) -> FLContext:
    """Context of a server whose kit is `tmp_path`."""
    for folder in ("startup", "local"):
        (tmp_path / folder).mkdir()
    workspace, context = Workspace(str(tmp_path), "server"), FLContext()
    context.set_prop(ReservedKey.ENGINE, SimpleNamespace(get_workspace=lambda: workspace), private=True, sticky=False)
    return context


@pytest.mark.parametrize(("written", "found"), [("/models", "/models"), ("models", "{kit}/local/models")])
def test_a_relative_folder_starts_at_the_file(tmp_path: Path, server: FLContext, written: str, found: str) -> None:
    (tmp_path / "local" / FILE).write_text(f'{{"models": "{written}"}}')
    assert models_folder(server) == Path(found.format(kit=tmp_path))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "not valid JSON"),
        ("[]", "must be an object"),
        ("{}", "models is missing"),
        ('{"models": 5}', "models must be of type str, not 5"),
        ('{"model": "x"}', "'model' is unknown; did you mean 'models'"),
        ('{"models": "x", "data": "y"}', "'data' is unknown"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, server: FLContext, text: str, line: str) -> None:
    (tmp_path / "local" / FILE).write_text(text)
    with pytest.raises(ConfigError, match=line) as caught:
        models_folder(server)
    assert str(caught.value).startswith(f"{tmp_path / 'local' / FILE}: ") and "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_write(server: FLContext) -> None:
    with pytest.raises(ConfigError, match=r"fedefm_server\.json: no such file; write it as"):
        models_folder(server)
