"""Paths on their way from Python to Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcache import OptionError
from dlcache._spark_jar import default_conf, submitted_conf, submitted_jars
from dlcache._spark_paths import path_for_spark

LOCAL = "file:///"


def test_a_local_path_is_absolute_where_python_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert path_for_spark("x/../y", LOCAL) == str(tmp_path / "y")
    assert path_for_spark(Path("x"), LOCAL) == str(tmp_path / "x")
    assert path_for_spark("~/x", LOCAL) == "/home/me/x"
    assert path_for_spark("/a/~/b", LOCAL) == "/a/~/b"
    assert path_for_spark(None, LOCAL) is None


@pytest.mark.parametrize("store", [LOCAL, "hdfs://name", None])
@pytest.mark.parametrize("uri", ["s3a://b/~/x", "file:/x", "hdfs:x", "dbfs:/x"])
def test_a_uri_is_as_it_is(uri: str, store: str | None) -> None:
    assert path_for_spark(uri, store) == uri


@pytest.mark.parametrize("store", ["hdfs://name", None])
def test_where_paths_are_elsewhere_a_relative_one_is_sparks_and_a_home_is_refused(store: str | None) -> None:
    assert path_for_spark("x", store) == "x"
    with pytest.raises(OptionError, match="give the full path"):
        path_for_spark("~/x", store)


def test_an_unknown_user_is_refused() -> None:
    with pytest.raises(OptionError, match="~nobody-of-that-name"):
        path_for_spark("~nobody-of-that-name/x", LOCAL)


def test_what_spark_submit_and_the_defaults_set(tmp_path: Path) -> None:
    environ = {"PYSPARK_SUBMIT_ARGS": "--conf a.b=c=d --conf=e.f='g h' --jars x.jar,y.jar pyspark-shell"}
    assert submitted_conf("a.b", environ) == "c=d"
    assert submitted_conf("e.f", environ) == "g h"
    assert submitted_conf("b", environ) is None
    assert submitted_jars(environ) == "x.jar,y.jar"
    (tmp_path / "spark-defaults.conf").write_text("a.b  c\naxb d\ne.f=g\n")
    defaults = {"SPARK_CONF_DIR": str(tmp_path)}
    assert [default_conf(name, None, defaults) for name in ("a.b", "e.f", "spark.jars")] == ["c", "g", None]
    assert default_conf("a.b", None, {}) is None
