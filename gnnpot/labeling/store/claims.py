"""Which run computes what, so that several runs on one store do not compute the same.

A claim holds while its run renews it; a run that was killed loses its claims at once on the same machine,
elsewhere when they are not renewed.  Where clocks differ by more than the lease, a structure may be computed
twice, but never by nobody.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

LEASE = 120.0  # seconds a claim holds without renewal
RENEWAL = 20.0  # seconds between renewals
_SEVERAL = 400


def make(cursor: Any) -> None:
    """Make the table."""
    cursor.execute("CREATE TABLE label_claims (key TEXT PRIMARY KEY, owner TEXT, renewed DOUBLE PRECISION)")


def owner() -> str:
    """Name of this process among all that may use a store."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str) -> bool:
    """Whether the process of this name ran on this machine and has ended."""
    host, number, started = name.rsplit(":", 2)
    return host == socket.gethostname() and _started(int(number)) != started


def take(cursor: Any, keys: Sequence[str], name: str) -> None:
    """Claim those of ``keys`` that nobody else holds."""
    clock = time.time()  # a claim from the future was made by a clock that was set back since, or is ahead
    cursor.execute(
        "DELETE FROM label_claims WHERE renewed NOT BETWEEN ? AND ?", (clock - LEASE, clock + LEASE)
    )
    cursor.execute("SELECT DISTINCT owner FROM label_claims")
    for (other,) in cursor.fetchall():
        if is_gone(other):
            release_all(cursor, other)
    for key in keys:
        cursor.execute(
            "INSERT INTO label_claims VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, name, time.time())
        )


def held(cursor: Any, name: str) -> set[str]:
    """The keys that ``name`` has claimed."""
    cursor.execute("SELECT key FROM label_claims WHERE owner = ?", (name,))
    return {key for (key,) in cursor.fetchall()}


def renew(cursor: Any, name: str) -> None:
    """Let the claims of ``name`` hold for another while."""
    cursor.execute("UPDATE label_claims SET renewed = ? WHERE owner = ?", (time.time(), name))


def release(cursor: Any, keys: Sequence[str]) -> None:
    """Give up claims."""
    for start in range(0, len(keys), _SEVERAL):
        several = tuple(keys[start : start + _SEVERAL])
        cursor.execute(f"DELETE FROM label_claims WHERE key IN ({', '.join('?' * len(several))})", several)


def release_all(cursor: Any, name: str) -> None:
    """Give up all claims of ``name``."""
    cursor.execute("DELETE FROM label_claims WHERE owner = ?", (name,))


def _started(number: int) -> str:
    """When a process began, in the machine's own count; "" if there is none."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""
