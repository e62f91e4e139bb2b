"""Who wrote to the host, by its audit log: each replica is another user there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from servicereflector.testing import commandlines

LEASES = "leases"

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [
                {"group": "", "resources": ["services", "endpoints"]},
                {"group": "discovery.k8s.io", "resources": ["endpointslices"]},
                {"group": "coordination.k8s.io", "resources": [LEASES]},
            ],
        },
        {"level": "None"},
    ],
}


def audit_flags(directory: Path, log: Path) -> list[str]:
    """Have kube-apiserver log who writes mirrors and Leases."""
    return commandlines.audit(directory, log, _POLICY)


@dataclass(frozen=True, slots=True)
class Write:
    """One that succeeded; times are seconds since 1970.

    :ivar begun: when the API server had received it.
    :ivar ended: when it was answered.
    """

    user: str
    resource: str
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Ending:
    """A replica that was killed, or asked to end."""

    user: str
    at: float
    asked: bool


def writes(log: Iterable[str], users: Sequence[str]) -> list[Write]:
    """Of these users, in the order in which they were begun."""
    found = []
    for line in log:
        event = json.loads(line)
        done = event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] < 300
        if done and event["user"]["username"] in users:
            times = (event["requestReceivedTimestamp"], event["stageTimestamp"])
            found.append(
                Write(event["user"]["username"], event["objectRef"]["resource"], *map(_time, times))
            )
    return sorted(found, key=lambda write: write.begun)


def beside(found: Sequence[Write]) -> list[tuple[Write, Write]]:
    """Each write of a mirror by another than whoever wrote the Lease last; with that write."""
    lease: Write | None = None
    told = []
    for write in found:
        if write.resource == LEASES:
            lease = write
        elif lease is not None and lease.user != write.user:
            told.append((write, lease))
    return told


def handovers(found: Sequence[Write], endings: Iterable[Ending]) -> list[tuple[Ending, float]]:
    """To each end of a leader, the seconds until another wrote a mirror."""
    told = []
    for ending in endings:
        before = [w for w in found if w.resource == LEASES and w.begun < ending.at]
        if not before or before[-1].user != ending.user:
            continue  # it stood by
        for write in found:
            if write.resource != LEASES and write.user != ending.user and write.begun > ending.at:
                told.append((ending, write.begun - ending.at))
                break
    return told


def lines(log: Path, users: Sequence[str], endings: Sequence[Ending]) -> list[str]:
    """To print.

    :raises AssertionError: two wrote at a time.
    """
    with log.open() as read:
        found = writes(read, users)
    mirrors = [write for write in found if write.resource != LEASES]
    counts = ", ".join(f"{sum(w.user == user for w in mirrors)} by {user}" for user in users)
    assert not (wrong := beside(found)), wrong
    told = [f"{len(mirrors)} writes of mirrors, {counts}; none by who did not hold the Lease"]
    times = handovers(found, endings)
    for asked, kind in ((False, "killed"), (True, "asked to end")):
        seconds = sorted(after for ending, after in times if ending.asked is asked)
        if seconds:
            told.append(
                f"{len(seconds)} leaders {kind}: another wrote after {seconds[0]:.1f} to"
                f" {seconds[-1]:.1f} s, median {seconds[len(seconds) // 2]:.1f} s"
            )
    return told


def _time(written: Any) -> float:
    return datetime.fromisoformat(str(written).replace("Z", "+00:00")).timestamp()
