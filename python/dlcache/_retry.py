"""Again, a bounded number of times: what is done when a store does not answer. Pure but for the pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from ._errors import DlcacheError

T = TypeVar("T")

ATTEMPTS = 4
"""How often a request is made in all, on top of what the store's own driver does."""
FIRST_PAUSE = 0.1
MOST_PAUSE = 5.0

_FINAL = (
    FileNotFoundError,
    PermissionError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    DlcacheError,
    TypeError,
    NotImplementedError,
    MemoryError,
)
_REFUSALS = (
    "access denied",
    "access_denied",
    "accessdenied",
    "invalidaccesskeyid",
    "invalid_access_key_id",
    "signaturedoesnotmatch",
    "signature_does_not_match",
    "expiredtoken",
    "invalid_client_token",
    "invalid_signature",
    "unrecognized_client",
    "unauthorized",
    "forbidden",
    "authorizationfailure",
    "authorizationpermissionmismatch",
    "authentication",
    "credential",
    "http status 401",
    "http status 403",
    "http response code 401",
    "http response code 403",
)


_ABSENCES = ("no_such_bucket", "nosuchbucket", "bucket does not exist", "container does not exist")


def is_refusal(error: BaseException) -> bool:
    """True if the store does not let us: to ask again changes nothing."""
    text = str(error).lower()
    return isinstance(error, PermissionError) or any(words in text for words in _REFUSALS)


def is_timeout(error: BaseException) -> bool:
    """True if the store did not answer in time."""
    text = f"{type(error).__name__} {error}".lower()
    return isinstance(error, TimeoutError) or "timeout" in text or "timed out" in text


def is_transient(error: BaseException) -> bool:
    """True if the same request may succeed a moment later: what is not known to be final may."""
    if not isinstance(error, Exception) or isinstance(error, _FINAL) or is_refusal(error):
        return False
    text = str(error).lower()
    return not any(words in text for words in _ABSENCES)


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
