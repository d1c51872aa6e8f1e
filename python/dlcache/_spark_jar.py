"""The connector's jar: where it is, and which value of `spark.jars` brings it into a session."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath

from ._errors import ConnectorError

JAR_VARIABLE = "DLCACHE_JAR"
_PACKAGED = Path(__file__).parent / "jars"
_JAR_NAME = re.compile(r"dlcache-spark_.*\.jar")


def connector_jar(environ: Mapping[str, str] = os.environ, packaged: Path = _PACKAGED) -> Path:
    """The jar that goes with this package: `$DLCACHE_JAR`, else the one in the package.

    Raises ConnectorError if there is none, or more than one.
    """
    named = environ.get(JAR_VARIABLE)
    if named:
        jar = Path(named)
        if not jar.is_file():
            raise ConnectorError(f"{JAR_VARIABLE} names {named!r}, which is not a file. Correct it or unset it.")
        return jar.resolve()
    jars = sorted(packaged.glob("*.jar"))
    if not jars:
        raise ConnectorError(
            f"The connector's jar is not in {packaged}. In a checkout, build it with `scripts/build-jar`; "
            f"else install dlcache again, or name a jar in the environment variable {JAR_VARIABLE}."
        )
    if len(jars) > 1:
        names = ", ".join(jar.name for jar in jars)
        raise ConnectorError(f"{packaged} has several jars: {names}. Remove all but one.")
    return jars[0].resolve()


def merged_jars(present: str | None, jar: Path) -> str:
    """The value of `spark.jars` with `jar` at its end. A connector jar that is there already stays the only one."""
    listed = split_jars(present)
    if any(is_connector(item) for item in listed):
        return ",".join(listed)
    return ",".join([*listed, str(jar)])


def split_jars(value: str | None) -> list[str]:
    return [item.strip() for item in (value or "").split(",") if item.strip()]


def is_connector(jar: str) -> bool:
    return _JAR_NAME.fullmatch(PurePosixPath(jar.replace("\\", "/")).name) is not None


def submitted_jars(environ: Mapping[str, str] = os.environ) -> str | None:
    """What `--jars` in `PYSPARK_SUBMIT_ARGS` says. Spark prefers it to the builder's `spark.jars`."""
    return next(iter(_submitted("--jars", environ)), None)


def submitted_conf(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """What `--conf` in `PYSPARK_SUBMIT_ARGS` sets a configuration to. The builder's value would win over it."""
    settings = (setting.partition("=") for setting in _submitted("--conf", environ))
    return next((value for key, _, value in settings if key == name), None)


def _submitted(option: str, environ: Mapping[str, str]) -> list[str]:
    words = shlex.split(environ.get("PYSPARK_SUBMIT_ARGS", ""))
    apart = [following for word, following in pairwise(words) if word == option]
    return apart + [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]


def default_conf(name: str, spark_home: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The value of a configuration in `spark-defaults.conf`, which a value in the builder would hide."""
    directory = environ.get("SPARK_CONF_DIR") or (spark_home and str(Path(spark_home, "conf")))
    file = Path(directory, "spark-defaults.conf") if directory else None
    if file is None or not file.is_file():
        return None
    found = None
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = re.fullmatch(rf"\s*{re.escape(name)}(?:\s*[=:]\s*|\s+)(.*?)\s*", line)
        if entry:
            found = entry.group(1)
    return found
