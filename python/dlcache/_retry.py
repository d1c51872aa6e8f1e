"""Retries a request a bounded number of times. Pure but for the pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from ._failures import is_transient

T = TypeVar("T")

ATTEMPTS = 4
"""Of one request in all, on top of what the store's own driver does."""
FIRST_PAUSE = 0.1
MOST_PAUSE = 5.0


def pause_before(attempt: int, chance: float) -> float:
    """Seconds before attempt 2, 3, ...: each pause is four times the one before, and up to half shorter by chance (0 to
    1), so that many readers do not come back at once."""
    longest = min(MOST_PAUSE, FIRST_PAUSE * 4.0 ** (attempt - 2))
    return longest * (1 - chance / 2)


def retry(act: Callable[[], T], *, pause: Callable[[float], None] = time.sleep) -> T:
    """What `act()` returns; it is called up to ATTEMPTS times. Raises what the last call raised."""
    attempt = 1
    while True:
        try:
            return act()
        except Exception as error:
            if attempt == ATTEMPTS or not is_transient(error):
                raise
        attempt += 1
        pause(pause_before(attempt, random.random()))
