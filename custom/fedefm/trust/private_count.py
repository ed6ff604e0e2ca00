"""How many things two parties both have, without either showing the other, or anybody between them, what it has.

Each thing is hashed to a point of Curve25519, and each party multiplies points by a secret number of its own:
a (b H(x)) = b (a H(x)), so that what both have meets under both numbers, and under one of them nothing can be guessed
and tried (Meadows 1986; Huberman, Franklin and Hogg 1999; De Cristofaro, Gasti and Tsudik 2012 for the count alone).
No hash is a point of the curve's twist: anybody can see which of the two a point is of, and no secret number changes
it, so that guesses could be ruled out by it.
The numbers are drawn anew for each count and thrown away; nobody else, no server, chooses any of it.

    A: mine = a.blind(rows)                  -> B        rows and points in random order, one row for each thing
    B: both = b.blind_again(mine)            -> A        in another random order
    B: theirs = b.blind(rows of B)           -> A
    A: count(both, a.blind_again(theirs))                how many rows of A hold a point of B; A learns no more

All rows have one length: shorter ones are filled with points of chance, so that a row tells nothing of its thing.
It holds against a party that is curious but keeps to the protocol. One that does not can put guesses of its own among
its things, as in any such protocol; the count then tells how many of the guesses the other has.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedefm.errors import ProtocolError

Rows = list[list[bytes]]
_DOMAIN = b"fedefm private count 2\0"
_FIELD = 2**255 - 19


class Party:
    """One side of a count; make a new one for each."""

    def __init__(self) -> None:
        self._secret = X25519PrivateKey.generate()

    def blind(self, rows: Iterable[Sequence[bytes]]) -> Rows:
        """Things under this party's secret, in random order, all rows of one length.

        Args:
            rows: for each thing the texts that stand for it; two things are one where they share a text.
        """
        known = [[_point(text) for text in set(row)] for row in rows]
        longest = max(map(len, known), default=0)
        return self.blind_again(row + [_chance() for _ in range(longest - len(row))] for row in known)

    def blind_again(self, rows: Iterable[Sequence[bytes]]) -> Rows:
        """Points under this party's secret as well, in random order.

        Raises:
            ProtocolError: one is no point.
        """
        found = [[self._times(point) for point in row] for row in rows]
        chance = secrets.SystemRandom()
        for row in found:
            chance.shuffle(row)
        chance.shuffle(found)
        return found

    def _times(self, point: bytes) -> bytes:
        try:
            return self._secret.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError as error:  # of another length, or of small order: every secret would give the same
            raise ProtocolError("a count of common pictures: what came is no point; ask that hospital") from error


def _point(text: bytes) -> bytes:
    """The first hash of a text that is a point of the curve; every second one is."""
    hashes = (hashlib.sha256(_DOMAIN + bytes([k]) + text).digest() for k in range(256))
    return next(point for point in hashes if on_curve(point))


def _chance() -> bytes:
    """A point of the curve that stands for nothing."""
    return _point(secrets.token_bytes(32))


def on_curve(point: bytes) -> bool:
    """Whether u^3 + 486662 u^2 + u is a square (RFC 7748), by Euler's criterion; else u is of the twist."""
    u = int.from_bytes(point, "little") % 2**255 % _FIELD
    return pow(u * (u * (u + 486662) + 1), (_FIELD - 1) // 2, _FIELD) == 1


def count(mine: Rows, theirs: Rows) -> int:
    """How many rows of mine share a point with theirs; both under both secrets."""
    known = {point for row in theirs for point in row}
    return sum(not known.isdisjoint(row) for row in mine)
