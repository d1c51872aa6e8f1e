"""One jar for all Spark versions: it asks nothing of Spark's jars that these do not have. Run with each of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pyspark

from dlcache._spark_jar import connector_jar

LATER = {"org.apache.parquet.schema.LogicalTypeAnnotation$UnknownLogicalTypeAnnotation"}
"""What is there in later versions only, in classes that are not loaded where it is not there."""


def test_every_class_that_the_jar_names_is_there() -> None:
    jars = sorted((Path(pyspark.__file__).parent / "jars").glob("*.jar"))
    class_path = ":".join(map(str, jars))
    command = ["jdeps", "--multi-release", "17", "--missing-deps", "-cp", class_path, str(connector_jar())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    missing = set(re.findall(r"-> (\S+) +not found", done.stdout))
    assert missing <= LATER
