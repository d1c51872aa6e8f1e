"""The checksum with which a manifest ends: docs/format.md, 2.4. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

from ._errors import ManifestError

KEY = "sha256"


def check_manifest(text: str | bytes, found: Any, where: str) -> None:
    """Raise ManifestError unless a manifest's bytes have the SHA-256 `found`, the value of its key `sha256`. Manifests
    of old writers have none: None."""
    if found is None:
        return
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    last = f'"{KEY}":"{found}"\n}}\n'.encode("utf-8", "surrogatepass")
    if not data.endswith(last):
        raise ManifestError(f"{where}: its last line is not its checksum {KEY}; {_DAMAGED}")
    actual = hashlib.sha256(memoryview(data)[: -len(last)]).hexdigest()
    if actual != found:
        raise ManifestError(f"{where}: its bytes have the SHA-256 {actual}, and it says {found}; {_DAMAGED}")


_DAMAGED = "the manifest was damaged or edited, write the dataset again"
