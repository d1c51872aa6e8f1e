"""Which jar goes into a session, and how `spark.jars` is merged. No Spark."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._errors import ConnectorError
from dlcache._spark_jar import (
    connector_jar,
    default_conf,
    is_connector,
    merged_jars,
    split_jars,
    submitted_jars,
)

JAR = Path("/opt/dlcache/jars/dlcache-spark_2.13-0.1.0.jar")
ITEMS = st.lists(st.from_regex(r"(s3a://b/|/x/)?[a-z]{1,8}\.jar", fullmatch=True), max_size=5)


@given(ITEMS)
def test_merging_keeps_the_users_jars_in_order_and_adds_one(items: list[str]) -> None:
    merged = merged_jars(",".join(items), JAR)
    assert split_jars(merged) == [*items, str(JAR)]
    assert merged_jars(merged, JAR) == merged


def test_a_connector_that_the_user_named_stays_the_only_one() -> None:
    assert (
        merged_jars("a.jar, s3a://b/dlcache-spark_2.13-9.9.9.jar", JAR) == "a.jar,s3a://b/dlcache-spark_2.13-9.9.9.jar"
    )


@pytest.mark.parametrize("present", [None, "", " , "])
def test_nothing_there_gives_the_jar_alone(present: str | None) -> None:
    assert merged_jars(present, JAR) == str(JAR)


def test_names_of_connectors() -> None:
    assert is_connector("hdfs://n/dlcache-spark_2.13-0.1.0-SNAPSHOT.jar")
    assert is_connector(r"C:\jars\dlcache-spark_2.13-0.1.0.jar")
    assert not is_connector("/dlcache-spark_2.13/other.jar")


def test_the_packaged_jar(tmp_path: Path) -> None:
    with pytest.raises(ConnectorError, match="scripts/build-jar"):
        connector_jar({}, tmp_path)
    (tmp_path / "dlcache-spark_2.13-1.jar").touch()
    assert connector_jar({}, tmp_path) == tmp_path / "dlcache-spark_2.13-1.jar"
    (tmp_path / "dlcache-spark_2.13-2.jar").touch()
    with pytest.raises(ConnectorError, match=r"several jars: dlcache-spark_2\.13-1\.jar, dlcache-spark_2\.13-2\.jar"):
        connector_jar({}, tmp_path)


def test_the_environment_names_another_jar(tmp_path: Path) -> None:
    other = tmp_path / "other.jar"
    with pytest.raises(ConnectorError, match=r"DLCACHE_JAR names '.*other.jar', which is not a file"):
        connector_jar({"DLCACHE_JAR": str(other)}, tmp_path)
    other.touch()
    assert connector_jar({"DLCACHE_JAR": str(other)}, tmp_path / "absent") == other


@pytest.mark.parametrize(
    ("text", "jars"),
    [
        ("spark.jars /a.jar,/b.jar\n", "/a.jar,/b.jar"),
        ("spark.jars=/a.jar", "/a.jar"),
        ("  spark.jars : /a.jar  \nspark.jars\t/b.jar", "/b.jar"),
        ("# spark.jars /a.jar\nspark.jars.packages x:y:1\n", None),
        ("", None),
    ],
)
def test_spark_defaults(tmp_path: Path, text: str, jars: str | None) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(text)
    assert default_conf("spark.jars", str(tmp_path), {}) == jars
    assert default_conf("spark.jars", None, {"SPARK_CONF_DIR": str(tmp_path / "conf")}) == jars
    assert default_conf("spark.jars", None, {}) is None


@pytest.mark.parametrize(
    ("arguments", "jars"),
    [
        ("--jars a.jar,b.jar pyspark-shell", "a.jar,b.jar"),
        ("--conf x=y --jars='a b.jar' pyspark-shell", "a b.jar"),
        ("--packages a:b:1 pyspark-shell", None),
        ("", None),
    ],
)
def test_submit_arguments(arguments: str, jars: str | None) -> None:
    assert submitted_jars({"PYSPARK_SUBMIT_ARGS": arguments}) == jars
