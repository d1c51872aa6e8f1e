"""Leases: small files that say who needs a dataset. The format is in docs/format.md, 6. Pure.

A `reader` needs the shards of one version. An `application` keeps a session-keyed dataset alive, and a process a
`temporary` one. A `writer` writes shards that no manifest names yet, and will publish a version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

LeaseKind = Literal["reader", "application", "writer", "temporary"]
IsRunning = Callable[[int, str | None], bool | None]


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease. host: the table of processes that pid belongs to. process_start: tells the process from a later one
    with its pid; None if unknown. version: what a reader reads, or what is temporary. application_id: whose datasets an
    application keeps. job: the UUID in the names of a writer's shards. base_version: a writer publishes a higher
    version than this; None if it has not looked yet."""

    kind: LeaseKind
    host: str
    pid: int
    process_start: str | None
    expires_at: datetime
    version: int | None = None
    application_id: str | None = None
    job: str | None = None
    base_version: int | None = None

    def is_live(self, now: datetime, host: str, is_running: IsRunning) -> bool:
        """Whether the holder is there still, asked on `host`.

        A process of this host that is gone holds nothing. One that is there holds on to what it reads, and to what is
        temporary, although it is late: it renews only while it delivers batches. All others hold until they expire.
        """
        running = is_running(self.pid, self.process_start) if host == self.host else None
        if running is False:
            return False
        return (running is True and self.kind in ("reader", "temporary")) or now < self.expires_at

    @property
    def holder(self) -> str:
        """Who holds it, for people."""
        who = f"{self.kind} with pid {self.pid} on {self.host.split(' ')[0]}"
        return who if self.application_id is None else f"{who}, Spark application {self.application_id}"


def write_lease(lease: Lease) -> bytes:
    """The text of a lease's file."""
    members: dict[str, Any] = {
        "kind": lease.kind,
        "host": lease.host,
        "pid": lease.pid,
        "process-start": lease.process_start,
        "version": lease.version,
        "application-id": lease.application_id,
        "job": lease.job,
        "base-version": lease.base_version,
        "expires-at": utc(lease.expires_at),
    }
    return json.dumps({key: value for key, value in members.items() if value is not None}).encode()


def parse_lease(text: bytes) -> Lease | None:
    """The lease in `text`, or None if it is not one that this version understands."""
    try:
        members = json.loads(text)
        lease = Lease(
            kind=members["kind"],
            host=members["host"],
            pid=members["pid"],
            process_start=members.get("process-start"),
            expires_at=datetime.fromisoformat(members["expires-at"].replace("Z", "+00:00")),
            version=members.get("version"),
            application_id=members.get("application-id"),
            job=members.get("job"),
            base_version=members.get("base-version"),
        )
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    texts = (lease.process_start, lease.application_id, lease.job)
    sound = (
        lease.kind in ("reader", "application", "writer", "temporary")
        and isinstance(lease.host, str)
        and type(lease.pid) is int
        and lease.pid > 0
        and all(text is None or isinstance(text, str) for text in texts)
        and lease.expires_at.tzinfo is not None
        and (lease.version is None or type(lease.version) is int)
        and (lease.base_version is None or type(lease.base_version) is int)
        and (lease.version is not None or lease.kind not in ("reader", "temporary"))
        and (lease.application_id is not None or lease.kind != "application")
    )
    return lease if sound else None


def utc(instant: datetime) -> str:
    """An instant as the format writes it: UTC, to the millisecond."""
    return instant.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
