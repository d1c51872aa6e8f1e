"""`dlcache.cache` over Spark Connect, in a process of its own: one process has one kind of session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# The package of this checkout, installed or not.
PACKAGE = Path(__file__).parent.parent / "python"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}


def test_a_connect_client_misses_hits_and_gets_conditions(tmp_path: Path) -> None:
    script = Path(__file__).with_name("_connect_script.py")
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    first, second, condition, ids, session = json.loads(done.stdout.splitlines()[-1])
    assert session.startswith("pyspark.sql.connect")
    assert (first["hit"], second["hit"]) == (False, True)
    assert first["digest"] == second["digest"]
    assert (first["rows"], first["shards"]) == (100, 4)
    assert condition == "DLCACHE_KEY_MISMATCH"
    assert ids == list(range(100))
