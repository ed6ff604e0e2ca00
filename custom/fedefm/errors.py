"""Every error that this package raises on purpose, in one tree.

A message is one line that names the thing (file, site, argument) and says what to do. The command line prints it
without a traceback and exits with `exit_code`.
"""


def visible(text: str) -> str:
    """A text as it may be printed or logged: what is no visible character, such as ANSI codes, stands escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class FedefmError(Exception):
    """Base of all errors of this package.

    Attributes:
        exit_code: what the `fedefm` command exits with when this error ends it.
    """

    exit_code = 1


class ConfigError(FedefmError):
    """A setting, command line argument or job file is wrong."""

    exit_code = 2


class DataError(FedefmError):
    """An image, mask or `dataset.json` cannot be used."""

    exit_code = 3


class OptimalTransportError(FedefmError, ValueError):
    """An optimal transport problem is ill posed (NaN, negative weight, empty, no convergence ...)."""

    exit_code = 4


class CheckpointError(FedefmError):
    """A weights file is damaged, or belongs to another architecture."""

    exit_code = 5


class ProtocolError(FedefmError):
    """A message of the exchange breaks the protocol."""

    exit_code = 6


class QuorumError(ProtocolError):
    """Fewer hospitals than the minimum took part; no global model is published."""

    exit_code = 7


class TrustError(FedefmError):
    """A kit, job folder, certificate or signature is not what the consortium made."""

    exit_code = 8
