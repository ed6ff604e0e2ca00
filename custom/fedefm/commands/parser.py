"""How every subcommand looks."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    """Add a subcommand with its description and examples."""
    return commands.add_parser(
        name, help=text, description=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
