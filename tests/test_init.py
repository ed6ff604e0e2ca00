"""The public face: light to import, typed, documented."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fedefm

LIGHT = """
import sys
import fedefm
assert set(fedefm.__all__) <= set(dir(fedefm))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "numpy", "nvflare", "scipy", "PIL"}))
print(len([name for name in sys.modules if name.startswith("fedefm")]))
"""


def test_importing_the_package_imports_nothing_else() -> None:
    said = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["", "1"]


def test_what_a_type_checker_sees_is_what_is_imported() -> None:
    tree = ast.parse(Path(fedefm.__file__).read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(typed.test) == "TYPE_CHECKING"
    seen = {name.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert seen == fedefm._HOMES
    assert sorted(seen) == sorted(fedefm.__all__)


@pytest.mark.parametrize("name", fedefm.__all__)
def test_each_name_is_there_and_documented(name: str) -> None:
    public = getattr(fedefm, name)
    assert public.__name__ == name and inspect.getdoc(public)
    assert f"`{name}`" in fedefm.__doc__
    if inspect.isfunction(public):
        assert "Raises:" in public.__doc__ or "errors are those of" in public.__doc__.replace("\n", " ")
        assert "return" in public.__annotations__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'fedefm' has no attribute 'lod'"):
        fedefm.lod  # noqa: B018
