"""From a URI and `storage_options` to a driver. The one place that knows what each store's ways are called.

URIs are Hadoop's: what follows the scheme and the authority is taken as it is, never unquoted, so that one string means
one file in Spark and here.
"""

from __future__ import annotations

import getpass
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from xml.etree import ElementTree

from ._background import prepare_exit
from ._drivers import ArrowDriver, Driver, FsspecDriver, GoogleDriver
from ._errors import OptionError, StorageError

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://([^/]*))?(.*)", re.DOTALL)
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "wasbs": "abfs", "wasb": "abfs"}
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs"}
_SECONDS = (10, 60)
"""Until WebHDFS must have connected, and must have sent something."""
_GOOGLE = timedelta(seconds=15)
"""For how long Google's client tries again by itself, which are 15 minutes if nobody says so."""
_MOST = 16


@dataclass(frozen=True, slots=True)
class Uri:
    """scheme: `s3` for `s3a`, `abfs` for `abfss` and so on. authority: a bucket, a host and port. path: from its
    slash."""

    scheme: str
    authority: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def joined(self) -> str:
        """`bucket/path`, as object stores have it."""
        return f"{self.authority}{self.path}".rstrip("/")


def parse_uri(text: str) -> Uri | None:
    """The parts of a URI; None if `text` is a plain path. Raises OptionError for a URI with a password in it."""
    match = _URI.fullmatch(text)
    if match is None:
        return None
    scheme, authority, path = match[1].lower(), match[2] or "", match[3]
    user, _, host = authority.rpartition("@")
    if ":" in user:
        raise OptionError(
            f"the URI {scheme}://...@{host}{path} has a password in it; leave it out, and give credentials in "
            "storage_options or as the store's own tools take them"
        )
    return Uri(_SAME.get(scheme, scheme), authority, path)


_lock = threading.Lock()
_open: OrderedDict[tuple[object, ...], Driver] = OrderedDict()


def connect(uri: Uri, options: Mapping[str, Any]) -> tuple[Driver, str]:
    """A driver for the store of `uri`, and the path in it. Drivers are kept and shared: by process, for none of them
    survives a fork. Raises OptionError for options that no driver takes, StorageError if there is no driver."""
    key = (os.getpid(), place_of(uri, options))
    with _lock:
        driver = _open.get(key)
    if driver is None:
        driver = _new(uri, options)
        with _lock:
            driver = _open.setdefault(key, driver)
            while len(_open) > _MOST:
                _open.popitem(last=False)
    return driver, _path_of(uri)


def place_of(uri: Uri, options: Mapping[str, Any]) -> tuple[str, str, str]:
    """Which store a URI means with these options: one URI can be in two stores, by their endpoints. All options count,
    so two sets of them for one store are two places; what is kept for each is kept twice then, and never mixed up."""
    found = {**_endpoint(os.environ, options), **options} if uri.scheme == "s3" else options
    return uri.scheme, uri.authority, _told(found)


def _told(value: Any) -> str:
    """A text that is the same for equal options, also for objects whose own text is their address."""
    if isinstance(value, Mapping):
        return repr(sorted((str(name), _told(item)) for name, item in value.items()))
    own_text: Any = type(value).__repr__
    if own_text is object.__repr__ and hasattr(value, "__dict__"):
        return f"{type(value).__qualname__} {_told(vars(value))}"
    return repr(value)


def _forked() -> None:
    global _lock
    _lock = threading.Lock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _path_of(uri: Uri) -> str:
    if uri.scheme in ("s3", "gs"):
        return uri.joined
    if uri.scheme == "abfs":
        return f"{uri.authority.partition('@')[0]}{uri.path}".rstrip("/")
    if uri.scheme in ("hdfs", "viewfs", "webhdfs", "swebhdfs"):
        return uri.path.rstrip("/") or "/"
    path = uri.path.rstrip("/") if not uri.authority else uri.joined
    return f"/{path}" if uri.scheme == "memory" else path


def _new(uri: Uri, options: Mapping[str, Any]) -> Driver:
    if uri.scheme in ("hdfs", "viewfs"):
        return _hdfs(uri, options)
    if uri.scheme in ("webhdfs", "swebhdfs"):
        host, _, port = uri.authority.partition(":")
        return _webhdfs({"host": host, "port": int(port or 9870), "use_https": uri.scheme == "swebhdfs", **options})
    refused = ""
    try:
        filesystem = _arrow(uri, options)
        if filesystem is not None:
            return GoogleDriver(filesystem) if uri.scheme == "gs" else ArrowDriver(filesystem)
    except TypeError as error:
        refused = str(error)
    return _fsspec(uri, options, refused)


def _arrow(uri: Uri, options: Mapping[str, Any]) -> Any:
    """pyarrow's file system of an object store; None if it has none. Raises TypeError for options that it has not."""
    from pyarrow import fs

    try:
        if uri.scheme == "s3":
            options = {**_endpoint(os.environ, options), **options}
            filesystem = _s3(options)
            region = _region(uri.authority, options)
            return filesystem if region is None else _s3({"region": region, **options})
        if uri.scheme == "gs":
            return fs.GcsFileSystem(**{"retry_time_limit": _GOOGLE, **options})
        if uri.scheme == "abfs":
            account = uri.authority.partition("@")[2].partition(".")[0]
            return fs.AzureFileSystem(**{**({"account_name": account} if account else {}), **options})
    except (AttributeError, ImportError):  # a pyarrow that was built without it
        pass
    return None


def _s3(options: Mapping[str, Any]) -> Any:
    """Small files are one request where pyarrow knows how, and not a begun, filled and ended upload."""
    from pyarrow import fs

    prepare_exit()
    try:
        return fs.S3FileSystem(**{"allow_delayed_open": True, **options})
    except TypeError:
        return fs.S3FileSystem(**options)


def _endpoint(environment: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, str]:
    """The server that the AWS tools' variables name: pyarrow looks at them only for URIs."""
    url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
    scheme, found, host = url.partition("://")
    if not found or "endpoint_override" in options:
        return {}
    return {"scheme": scheme, "endpoint_override": host.rstrip("/")}


def _region(bucket: str, options: Mapping[str, Any]) -> str | None:
    """The region of a bucket of Amazon's, if nobody has said it and Amazon tells."""
    from pyarrow import fs

    said = {"AWS_REGION", "AWS_DEFAULT_REGION"} & os.environ.keys()
    if said or "region" in options or "endpoint_override" in options:
        return None
    try:
        return str(fs.resolve_s3_region(bucket))
    except OSError:
        return None


def _hdfs(uri: Uri, options: Mapping[str, Any]) -> Driver:
    """Through libhdfs where Hadoop is installed, else through the name node's WebHDFS."""
    from pyarrow import fs

    name, _, port = uri.authority.partition(":")
    known = {"replication", "buffer_size", "default_block_size", "kerb_ticket", "extra_conf"}
    if not options or options.keys() <= known | {"user"}:
        try:
            host = f"{uri.scheme}://{uri.authority}" if uri.scheme == "viewfs" else name or "default"
            return ArrowDriver(fs.HadoopFileSystem(host, int(port or _rpc_port(name, os.environ)), **options))
        except OSError as error:
            if not ("libhdfs" in str(error) or "libjvm" in str(error)) or options.keys() & known:
                raise
    return _webhdfs({**_http_address(name, os.environ), **options})


def _rpc_port(name: str, environment: Mapping[str, str]) -> int:
    """Hadoop's port, or 0 for what the configuration knows: the default file system, or several name nodes as one."""
    services = hadoop_conf(environment.get("HADOOP_CONF_DIR", "")).get("dfs.nameservices", "")
    return 0 if not name or name in map(str.strip, services.split(",")) else 8020


def _http_address(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Where the name node `name` answers HTTP, by the `hdfs-site.xml` and `core-site.xml` of HADOOP_CONF_DIR; else on
    its host at Hadoop's port."""
    conf = hadoop_conf(environment.get("HADOOP_CONF_DIR", ""))
    default = conf.get("fs.defaultFS", "").partition("://")[2].partition("/")[0]
    if not name or default.partition(":")[0] == name:
        name = name or default.partition(":")[0]
        host, _, port = conf.get("dfs.namenode.http-address", "").partition(":")
        if port:
            return {"host": name if host in ("", "0.0.0.0") else host, "port": int(port)}
    nodes = conf.get(f"dfs.ha.namenodes.{name}", "").split(",")[0].strip()
    host, _, port = conf.get(f"dfs.namenode.http-address.{name}.{nodes}", "").partition(":")
    if port:
        return {"host": host, "port": int(port)}
    if not name:
        raise StorageError(
            "an hdfs: path without a host needs HADOOP_CONF_DIR; or name the host: hdfs://host:8020/path"
        )
    return {"host": name, "port": 9870}


def hadoop_conf(folder: str) -> dict[str, str]:
    """The properties of the two files in a folder of Hadoop's configuration; none if they are not there."""
    properties: dict[str, str] = {}
    for name in ("core-site.xml", "hdfs-site.xml") if folder else ():
        try:
            root = ElementTree.parse(os.path.join(folder, name)).getroot()
        except FileNotFoundError:
            continue
        except (OSError, ElementTree.ParseError) as error:
            raise StorageError(f"cannot read {os.path.join(folder, name)}: {error}") from error
        for item in root.iter("property"):
            properties[item.findtext("name", "").strip()] = item.findtext("value", "").strip()
    return properties


def _webhdfs(options: Mapping[str, Any]) -> Driver:
    try:
        from fsspec.implementations.webhdfs import WebHDFS
    except ImportError as error:
        raise StorageError(
            f"no driver for HDFS: {error}. Install Hadoop's libhdfs (ARROW_LIBHDFS_DIR, CLASSPATH), or "
            "`pip install 'dlcache[hdfs]'` to go through the name node's WebHDFS"
        ) from error

    given = dict(options)
    if not {"user", "token", "kerberos"} & given.keys():
        given["user"] = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
    filesystem = WebHDFS(**given, skip_instance_cache=True)
    filesystem.session.request = partial(filesystem.session.request, timeout=_SECONDS)
    return FsspecDriver(filesystem)


def _fsspec(uri: Uri, options: Mapping[str, Any], refused: str) -> Driver:
    """refused: what pyarrow's file system said to the options, if there is one."""
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(uri.scheme)
        derived = kind._get_kwargs_from_urls(str(uri))
        return FsspecDriver(kind(**{**derived, **options}))
    except ImportError as error:
        package = _PACKAGES.get(uri.scheme)
        if refused:
            raise OptionError(
                f"storage_options for {uri.scheme} are {', '.join(map(repr, options))}, and pyarrow says: {refused}. "
                f"Give what pyarrow.fs takes, or install {package} for its own options"
            ) from error
        raise StorageError(
            f"no driver for {uri.scheme}: {error}. Install fsspec and its package for this store"
            f"{f', {package}' if package else ''}"
        ) from error
    except ValueError as error:
        raise StorageError(f"no driver for {uri.scheme}: {error}") from error
    except TypeError as error:
        raise OptionError(f"storage_options for {uri.scheme}: {error}") from error
