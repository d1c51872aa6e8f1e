"""A manifest that was changed is an error, or says what it said."""

from __future__ import annotations

import json
import random

import pytest
from _damage import NAMES, manifest_text

import dlcache
from dlcache._manifest import Manifest, parse

SEALED = [name for name in NAMES if b'"sha256"' in manifest_text(name)]


def what_it_says(manifest: Manifest) -> str:
    return repr(manifest)


def test_old_and_new_manifests_are_read() -> None:
    assert b'"sha256"' not in manifest_text("unsealed")
    assert {*NAMES} - {*SEALED} == {"unsealed"}
    for name in NAMES:
        parse(manifest_text(name), "here")
        parse(manifest_text(name).decode(), "here")


@pytest.mark.parametrize("name", SEALED)
def test_a_byte_that_was_changed(name: str) -> None:
    text = manifest_text(name)
    said = what_it_says(parse(text, "here"))
    key = text.rindex(b'"sha256"')
    bits = random.Random(name)
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1 << bits.randrange(8)
        try:
            manifest = parse(bytes(changed), "here")
        except dlcache.ManifestError as error:
            assert "here" in str(error)
        else:  # the checksum has another name now, which readers do not know
            assert key < at < key + 7
            assert what_it_says(manifest) == said


def test_every_digit_that_was_changed_is_found() -> None:
    text = manifest_text("scalars")
    key = text.rindex(b'"sha256"')
    for at in (at for at in range(len(text)) if text[at : at + 1].isdigit() and not key < at < key + 8):
        changed = bytearray(text)
        changed[at] = ord("1") if text[at] == ord("0") else text[at] - 1
        with pytest.raises(dlcache.ManifestError, match="here"):
            parse(bytes(changed), "here")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"rows":', b'"rows": ', "SHA-256"),
        (b"\n}\n", b"}\n", "last line"),
        (b"\n}\n", b"\n}", "last line"),
        (b'"sha256":"', b'"sha256":"A', "last line|SHA-256"),
        (b"{\n", b'{"sha256":"00",', "twice"),
    ],
)
def test_what_damage_says(old: bytes, new: bytes, says: str) -> None:
    text = manifest_text("tensors")
    at = text.rindex(old) if old != b"{\n" else 0
    with pytest.raises(dlcache.ManifestError, match=says):
        parse(text[:at] + new + text[at + len(old) :], "here")


def test_a_manifest_that_was_formatted_anew_is_refused() -> None:
    with pytest.raises(dlcache.ManifestError, match="last line"):
        parse(json.dumps(json.loads(manifest_text("tensors")), indent=2), "here")
