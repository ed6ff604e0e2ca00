"""A log in which no text can look like a line of its own."""

from __future__ import annotations

import logging

from nvflare.fuel.utils.log_utils import BaseFormatter

from fedefm.errors import visible


class OneRecord(BaseFormatter):
    """FLARE's format, with control characters escaped and every further line of a record set in.

    A record may repeat what a peer sent, a line end and all: what follows it must not be taken for another record
    (`flare/progress.py`), nor colour a terminal. `log_config.json` names this class.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record, its first line alone at the margin."""
        return "\n    ".join(visible(line) for line in super().format(record).splitlines())
