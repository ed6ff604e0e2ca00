"""The `fedefm` command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from fedefm.commands import (
    approve,
    calibrate,
    compare,
    consortium,
    correct,
    data,
    doctor,
    evaluate,
    export,
    federation,
    finetune,
    init,
    job,
    plan,
    rehearse,
    report,
    resume,
    segment,
    service,
    simulate,
    site,
    trust,
    watch,
    wheels,
)
from fedefm.errors import ConfigError, FedefmError
from fedefm.files import is_refused_write, refused_write

COMMANDS = (
    simulate,
    plan,
    resume,
    compare,
    init,
    finetune,
    evaluate,
    calibrate,
    segment,
    correct,
    export,
    data,
    job,
    watch,
    report,
    trust,
    doctor,
    site,
    approve,
    consortium,
    service,
    wheels,
    federation,
    rehearse,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(build_parser(), arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; each of our own errors ends in one line and the exit code of its kind."""
    options = parser.parse_args(arguments)
    warnings.showwarning = lambda message, *place, **more: print(f"fedefm: note: {message}", file=sys.stderr)
    try:
        return options.run(options)
    except FedefmError as error:
        print(f"fedefm: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush would fail again
        return 141
    except OSError as error:
        out = getattr(options, "out", None)
        if is_refused_write(error):  # a write to a full disk names no file
            print(f"fedefm: {refused_write(error, out or error.filename or 'the output')}", file=sys.stderr)
            return ConfigError.exit_code
        place = "" if error.filename is None else f"{error.filename}: "
        print(f"fedefm: {place}{error.strerror or error}; choose another place or free it", file=sys.stderr)
        return FedefmError.exit_code
    except KeyboardInterrupt as stop:
        print(f"fedefm: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="fedefm", description="Federated endovascular foundation models: exchange experts, share no image."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def _version() -> str:
    from importlib.metadata import version

    return f"fedefm {version('fedefm')}"


if __name__ == "__main__":
    sys.exit(main())
