"""What large weights leave free in the heap goes back to the system; the C library would keep it for later."""

from __future__ import annotations

from nvflare.fuel.utils.memory_utils import try_malloc_trim

from fedefm.models.stored import SMALL


def give_back(size: int) -> None:
    """Give free memory back after work with weights of so many bytes; for small ones it is not worth the time."""
    if size >= SMALL:
        try_malloc_trim()
