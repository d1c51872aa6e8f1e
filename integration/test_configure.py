"""`dlcache.configure` with every kind of builder. No session is started."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import dlcache
import dlcache.spark as subject
from dlcache._spark_jar import connector_jar


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other session, no defaults of this machine."""
    for name in ("SPARK_REMOTE", "PYSPARK_SUBMIT_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setattr(subject, "_running_context", lambda: None)


def jars_of(builder: Any) -> str | None:
    value: str | None = builder._options.get("spark.jars")
    return value


def test_the_jar_is_added_to_the_users(tmp_path: Path) -> None:
    builder = SparkSession.builder.config("spark.jars", "a.jar,b.jar").appName("mine")
    assert dlcache.configure(builder) is builder
    assert jars_of(builder) == f"a.jar,b.jar,{connector_jar()}"
    assert builder._options["spark.app.name"] == "mine"
    assert jars_of(dlcache.configure(builder)) == f"a.jar,b.jar,{connector_jar()}"


def test_the_jars_of_spark_defaults_are_kept(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.jars  site.jar\n")
    assert jars_of(dlcache.configure(SparkSession.builder)) == f"site.jar,{connector_jar()}"


def catalog_of(builder: Any) -> str | None:
    value: str | None = builder._options.get("spark.sql.catalog.spark_catalog")
    return value


def test_the_catalog_is_set_where_none_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = "io.dlcache.catalog.DlcacheCatalog"
    assert catalog_of(dlcache.configure(SparkSession.builder)) == ours
    chosen = SparkSession.builder.config("spark.sql.catalog.spark_catalog", "a.Catalog")
    assert catalog_of(dlcache.configure(chosen)) == "a.Catalog"
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--conf spark.sql.catalog.spark_catalog=a.Catalog pyspark-shell")
    assert catalog_of(dlcache.configure(SparkSession.Builder())) is None
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--jars mine.jar pyspark-shell")  # it hides ours
    assert catalog_of(dlcache.configure(SparkSession.Builder())) is None
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS")
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.catalog.spark_catalog a.Catalog\n")
    assert catalog_of(dlcache.configure(SparkSession.Builder())) is None


def test_a_connect_server_is_told_about_not_configured(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for builder in (SparkSession.builder.remote("sc://host:15002"), SparkSession.builder):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "dlcache"):
            dlcache.configure(builder)
        assert jars_of(builder) is None
        assert f"the server needs dlcache's jar; start it with --jars {connector_jar()}" in caplog.text
        monkeypatch.setenv("SPARK_REMOTE", "sc://host:15002")


def test_a_connect_server_of_this_process_is_configured() -> None:
    assert jars_of(dlcache.configure(SparkSession.builder.remote("local[2]"))) == str(connector_jar())


def test_what_hides_the_jar_is_warned_of(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--jars mine.jar pyspark-shell")
    with caplog.at_level(logging.WARNING, "dlcache"):
        dlcache.configure(SparkSession.builder)
    assert "--jars in PYSPARK_SUBMIT_ARGS hides" in caplog.text


def test_an_absent_jar_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCACHE_JAR", "absent.jar")
    with pytest.raises(dlcache.ConnectorError, match=r"DLCACHE_JAR names 'absent\.jar'"):
        dlcache.configure(SparkSession.builder)
