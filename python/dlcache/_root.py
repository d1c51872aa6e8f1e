"""Where datasets without a path are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping


def root() -> str:
    """The directory of plan-keyed datasets, as the connector finds it on a local master: the environment variable
    DLCACHE_ROOT, else `dlcache` in XDG_CACHE_HOME or in `~/.cache`.

    A session that sets `spark.datasource.dlcache.root`, or a write with the option `root`, has its own.
    """
    return root_of(os.environ, os.path.expanduser("~"))


def root_of(environment: Mapping[str, str], home: str) -> str:
    """`root` for an environment and a home directory. Blank variables count as absent."""
    chosen = environment.get("DLCACHE_ROOT", "")
    if chosen.strip():
        return chosen
    return f"{user_caches(environment, home)}/dlcache"


def user_caches(environment: Mapping[str, str], home: str) -> str:
    """Where a user's caches are: XDG_CACHE_HOME, else `~/.cache`."""
    caches = environment.get("XDG_CACHE_HOME", "")
    return caches if caches.strip() else f"{home}/.cache"
