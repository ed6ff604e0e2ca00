"""Every example in the help of these commands is taken by the real parser."""

import re
import shlex

import pytest

from fedefm.cli import build_parser

COMMANDS = (
    *(("site", word) for word in ("status", "clear", "wait", "ledger", "jobs", "revoked", "renew")),
    *(("consortium", word) for word in ("kits", "add", "remove", "suspend", "resume", "renew", "who")),
    ("approve",),
    ("rehearse",),
    ("trust", "revoke"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples_and_each_is_taken(command, capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*command, "--help"])
    assert ended.value.code == 0
    lines = [line.strip() for line in capsys.readouterr().out.partition("examples:")[2].splitlines()]
    examples = [line for line in lines if line.startswith("fedefm ")]
    assert any(line.startswith(" ".join(("fedefm", *command))) for line in examples)
    for line in examples:
        words = shlex.split(re.split(r" \|\| | > |   ", line)[0])
        assert build_parser().parse_args(words[1:]).run
