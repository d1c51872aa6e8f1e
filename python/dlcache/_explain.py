"""What a plan key was made of, and what makes two keys differ, in words.

Works on the explanations that the writer puts into manifests (docs/plan-key.md). An explanation is input from outside
and may be older or newer than this code: what is not as expected is left out, never an error.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from ._errors import DlcacheError
from ._explain_diff import differences
from ._explain_words import entries, made_of, mapping
from ._files import Files
from ._layout import MANIFESTS, kind_of
from ._manifest import Manifest, parse
from ._store import Store, manifest_name

NEAREST_OF = 100
"""So many datasets beside this one, the newest, are looked at for the nearest."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a dataset has its key.

    made_of: what the key was made of. other: the dataset that it is compared with, if there is one. differences: from
    that one to this one; empty if both have one key.
    """

    path: str
    scope: str
    digest: str
    made_of: tuple[str, ...]
    other: str | None
    differences: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """For people: all of it but the confs, of which there are dozens."""
        confs = sum(line.startswith("conf ") for line in self.made_of)
        shown = [line for line in self.made_of if not line.startswith("conf ")]
        shown += [f"{confs} SQL confs that change results (--json lists them)"] if confs else []
        lines = [self.path, f"{self.scope} key {self.digest}", "made of", *(f"  {line}" for line in shown)]
        if self.other is not None:
            lines += [f"against {self.other}", *(f"  {line}" for line in self.differences or ("the same key",))]
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON objects, lists and strings."""
        return {
            "path": self.path,
            "scope": self.scope,
            "digest": self.digest,
            "made-of": list(self.made_of),
            "other": self.other,
            "differences": list(self.differences),
        }


def explain_dataset(store: Store, manifest: Manifest, other: str | os.PathLike[str] | None = None) -> Explanation:
    """The explanation of a manifest, against the dataset at `other`, or else the nearest one beside it.

    Raises NotADatasetError, ManifestError and StorageError for `other`.
    """
    compared: tuple[str, Any, str] | None
    if other is None:
        compared = _nearest(store, manifest)
    else:
        there = Store.of(other, store.storage_options)
        version = there.versions()[-1]
        found = parse(there.manifest(version), f"{there.path}/{MANIFESTS}/{manifest_name(version)}")
        compared = there.path, found.explanation, found.plan_key.digest
    path, found_differences = None, []
    if compared is not None:
        path, before, digest = compared
        same = digest == manifest.plan_key.digest
        found_differences = [] if same else differences(before, manifest.explanation)
    return Explanation(
        store.path,
        manifest.plan_key.scope,
        manifest.plan_key.digest,
        tuple(made_of(manifest.explanation)),
        path,
        tuple(found_differences),
    )


def _nearest(store: Store, manifest: Manifest) -> tuple[str, Any, str] | None:
    """The dataset in the same directory with another key and the fewest differences; the newest of several."""
    parent = store.path.rstrip("/").rpartition("/")[0]
    if store.remote is not None and not store.remote.uri.path.strip("/"):
        return None
    root = Files.of(os.path.dirname(store.local) if store.local is not None else parent, store.storage_options)
    try:
        beside = [entry for entry in root.listing("") if entry.kind == "directory" and entry.path != store.name]
    except DlcacheError:
        return None
    newest = sorted(beside, key=lambda entry: (-entry.modified, entry.path))[:NEAREST_OF]
    candidates = []
    for age, entry in enumerate(newest):
        found = _current(root.child(entry.path))
        if found is not None and found[1] != manifest.plan_key.digest:
            explanation, digest = found
            count = len(differences(explanation, manifest.explanation))
            candidates.append((count, age, root.child(entry.path).path, explanation, digest))
    if not candidates:
        return None
    _, _, path, explanation, digest = min(candidates, key=lambda candidate: candidate[:2])
    return path, explanation, digest


def _current(files: Files) -> tuple[Any, str] | None:
    """The explanation and the digest of a dataset's current version, if it has them. The rest is not looked at."""
    try:
        manifests = [entry.path for entry in files.listing(MANIFESTS) if kind_of(entry.path) == "manifest"]
        text = files.read(max(manifests)) if manifests else None
        document = mapping(json.loads(text)) if text is not None else {}
    except (DlcacheError, ValueError, RecursionError):
        return None
    digest = mapping(document.get("plan-key")).get("digest")
    explanation = document.get("explanation")
    return (explanation, digest) if isinstance(digest, str) and entries(explanation) else None
