"""How many things two parties both have, without either showing the other, or anybody between them, what it has.

Each thing is hashed to a point of Curve25519, and each party multiplies points by a secret number of its own:
a (b H(x)) = b (a H(x)), so that what both have meets under both numbers, and under one of them nothing can be guessed
and tried (Meadows 1986; Huberman, Franklin and Hogg 1999; De Cristofaro, Gasti and Tsudik 2012 for the count alone).
The numbers are drawn anew for each count and thrown away; nobody else, no server, chooses any of it.

    A: mine = a.blind(rows)                  -> B        rows in random order, the points of one thing in one row
    B: both = b.blind_again(mine)            -> A        in another random order
    B: theirs = b.blind(rows of B)           -> A
    A: count(both, a.blind_again(theirs))                how many rows of A hold a point of B; A learns no more

It holds against a party that is curious but keeps to the protocol. One that does not can put guesses of its own among
its things, as in any such protocol; the count then tells how many of the guesses the other has.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedefm.errors import ProtocolError

Rows = list[list[bytes]]
_DOMAIN = b"fedefm private count 1\0"


class Party:
    """One side of a count; make a new one for each."""

    def __init__(self) -> None:
        self._secret = X25519PrivateKey.generate()

    def blind(self, rows: Iterable[Sequence[bytes]]) -> Rows:
        """Things under this party's secret, in random order.

        Args:
            rows: for each thing the texts that stand for it; two things are one where they share a text.
        """
        return self.blind_again([hashlib.sha256(_DOMAIN + text).digest() for text in row] for row in rows)

    def blind_again(self, rows: Iterable[Sequence[bytes]]) -> Rows:
        """Points under this party's secret as well, in random order.

        Raises:
            ProtocolError: one is no point.
        """
        found = [[self._times(point) for point in row] for row in rows]
        secrets.SystemRandom().shuffle(found)
        return found

    def _times(self, point: bytes) -> bytes:
        try:
            return self._secret.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError as error:  # of another length, or of small order: every secret would give the same
            raise ProtocolError("a count of common pictures: what came is no point; ask that hospital") from error


def count(mine: Rows, theirs: Rows) -> int:
    """How many rows of mine share a point with theirs; both under both secrets."""
    known = {point for row in theirs for point in row}
    return sum(not known.isdisjoint(row) for row in mine)
