"""What the error of a store means: by its class and the codes in it, never by the words of a message.

A message holds the path of the object, which may have any word in it. PyArrow's errors carry their codes in the text
alone, so they are read there in the form that PyArrow gives them, with the path taken out. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ._errors import DlcacheError

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
_REFUSALS = frozenset(
    (
        "401",
        "403",
        "accessdenied",
        "invalidaccesskeyid",
        "signaturedoesnotmatch",
        "expiredtoken",
        "invalidtoken",
        "invalidclienttokenid",
        "invalidsignature",
        "unrecognizedclient",
        "missingauthenticationtoken",
        "authorizationfailure",
        "authenticationfailed",
        "authorizationpermissionmismatch",
        "invalidauthenticationinfo",
        "permissiondenied",
        "unauthenticated",
        "nocredentialserror",
        "partialcredentialserror",
        "credentialretrievalerror",
        "defaultcredentialserror",
        "refresherror",
        "clientauthenticationerror",
    )
)
_ABSENCES = frozenset(
    (
        "404",
        "nosuchbucket",
        "nosuchkey",
        "containernotfound",
        "blobnotfound",
        "filesystemnotfound",
        "notfound",
    )
)
_TIMEOUTS = frozenset(
    (
        "408",
        "504",
        "requesttimeout",
        "deadlineexceeded",
        "curl28",
    )
)

_KEY = re.compile(r"key '.*' in bucket", re.DOTALL)
_IN_TEXT = (
    re.compile(r"(?:^|: )AWS Error ([A-Z_]+)(?: \(HTTP status (\d{3})\))?"),
    re.compile(r"google::cloud::Status\(([A-Z_]+):"),
    re.compile(r"Azure Error: \[(\w*)\](?: (\d{3})\b)?"),
)
_CURL = re.compile(r"AWS Error [A-Z_]+ during \w+ operation: curlCode: (\d+),")
_DEPTH = 8


def is_refusal(error: BaseException) -> bool:
    """True if the store refused the credentials, or found none: a retry changes nothing."""
    return isinstance(error, PermissionError) or not _REFUSALS.isdisjoint(codes(error))


def is_timeout(error: BaseException) -> bool:
    """True if the store did not answer in time."""
    return isinstance(error, TimeoutError) or not _TIMEOUTS.isdisjoint(codes(error))


def is_transient(error: BaseException) -> bool:
    """True if a retry may succeed: only what is known to be final may not."""
    if not isinstance(error, Exception) or isinstance(error, _FINAL):
        return False
    return not is_refusal(error) and _ABSENCES.isdisjoint(codes(error))


def codes(error: BaseException) -> frozenset[str]:
    """The HTTP status, the store's own codes and the class names of an error and of those behind it, in lower case
    and without underscores."""
    return frozenset(code.replace("_", "").lower() for each in _chain(error) for code in _codes_of(each))


def _chain(error: BaseException) -> Iterator[BaseException]:
    behind: BaseException | None = error
    for _ in range(_DEPTH):
        if behind is None:
            return
        yield behind
        behind = behind.__cause__ or behind.__context__


def _codes_of(error: BaseException) -> Iterator[str]:
    for kind in type(error).__mro__:
        yield kind.__name__
        if "Timeout" in kind.__name__:
            yield "RequestTimeout"
    yield from _attributes(error)
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        yield str((response.get("Error") or {}).get("Code"))
        yield str((response.get("ResponseMetadata") or {}).get("HTTPStatusCode"))
    elif response is not None:  # requests, Azure
        yield from _attributes(response)
    text = _KEY.sub("", str(error))
    for pattern in _IN_TEXT:
        found = pattern.search(text)
        if found is not None:
            yield from (code for code in found.groups() if code)
            break
    curl = _CURL.search(text)
    if curl is not None:
        yield f"curl{curl[1]}"


def _attributes(holder: Any) -> Iterator[str]:
    for name in ("status", "status_code", "code", "error_code"):
        value = getattr(holder, name, None)
        if isinstance(value, (int, str)):
            yield str(value)
