"""A Delta table is recognised by the state of its version, with a real delta-spark in a session of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# The package of this checkout, installed or not.
PACKAGE = Path(__file__).parent.parent / "python"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}


def test_a_delta_table_hits_until_it_changes(tmp_path: Path) -> None:
    script = Path(__file__).with_name("_delta_script.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=ENVIRONMENT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert results["first"] == [False, "durable", 10]
    assert results["again"] is True
    assert results["appended"] == [False, "durable", 15]
    assert results["old version"] == [10, "durable"]
    assert results["old version again"] is True
    assert results["deleted"] == [False, 12]
