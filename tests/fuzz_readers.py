"""Fuzzing with Atheris: `make fuzz`, or `python tests/fuzz_readers.py manifest|shard [libFuzzer's options]`.

`manifest` feeds the parser with damaged manifests and uses what it takes; `shard` feeds the readers with damaged
shards whose checksums agree. Whatever happens that is not a DlcacheError is a find, and ends the run.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dlcache"]):
    import dlcache  # noqa: F401
    from dlcache._manifest import parse

from _damage import GOLDEN, NAMES, damaged, manifest_text, use, use_text, without_checksum

ROOT = Path(tempfile.mkdtemp(prefix="dlcache-fuzz-"))
MANIFESTS = {name: without_checksum(manifest_text(name)) for name in NAMES}


def manifest(data: bytes) -> None:
    if len(data) < 5:
        return
    name = NAMES[data[0] % len(NAMES)]
    use_text(data[2:] if data[1] % 4 == 0 else damaged(MANIFESTS[name], data[2:]), ROOT / name)


def shard(data: bytes) -> None:
    if len(data) < 8:
        return
    name = NAMES[data[0] % len(NAMES)]
    document = json.loads(MANIFESTS[name])
    entry = document["shards"][data[1] % len(document["shards"])]
    path = ROOT / name / entry["path"]
    whole = path.read_bytes()
    changed = bytearray(whole)
    for at in range(2, len(data) - 3, 4):
        where = data[at] << 8 | data[at + 1]
        changed[-1 - where % len(changed) if data[at + 2] % 2 else where % len(changed)] = data[at + 3]
    entry["crc32"] = zlib.crc32(changed)
    path.write_bytes(changed)
    try:
        use(parse(json.dumps(document), "here"), ROOT / name)
    finally:
        path.write_bytes(whole)


def main() -> None:
    logging.getLogger("dlcache").setLevel(logging.CRITICAL)
    for name in NAMES:
        shutil.copytree(GOLDEN / name, ROOT / name)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], {"manifest": manifest, "shard": shard}[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
