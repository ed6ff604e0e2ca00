"""The examples of the help are commands that the real parser takes."""

import shlex

import pytest

from fedefm.cli import build_parser, main


@pytest.mark.parametrize("command", [("correct",), ("data", "add")])
def test_examples_parse(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    lines = [line.strip() for line in capsys.readouterr().out.partition("examples:")[2].splitlines()]
    examples = [shlex.split(line)[1:] for line in lines if line.startswith("fedefm ")]
    assert len(examples) >= 3 and all(words[: len(command)] == list(command) for words in examples[:3])
    for words in examples:
        build_parser().parse_args(words)
