"""What must hold of the world's mirrors: at the end of each fault, and at all times."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from e2e.clusters import Cluster, eventually

from servicereflector.testing.envtest import ApiServer

from .churn import KINDS, NAMESPACE
from .mirrors import Shape, differences, is_mirror, shapes
from .servers import GROUPS, PULSE, TAKEN, exported

#: Seconds between two looks: they are not for nothing on the machine that is to recover.
_LOOK = 0.1


class Agreement:
    """Of the host with its sources."""

    def __init__(self, servers: Mapping[str, ApiServer], log: Callable[[], str]) -> None:
        """
        :param log: tells why there is none.
        """
        self._servers = servers
        self._log = log
        self._uids: dict[str, str] = {}
        self._foreign: list[tuple[str, str]] = []

    def _cluster(self, name: str) -> Cluster:
        return Cluster(self._servers[name])

    def keep(self) -> None:
        """From now on, what is there from start to end is to be as it is."""
        self._uids = self._found_uids()
        self._foreign = self._stranger()

    def differences(self) -> tuple[int, list[str]]:
        """How many objects were compared, and what is not as it should be."""
        wanted = self._wanted()
        west = self._cluster("west")
        services = [s for s in west.list("services") if is_mirror(s)]
        found = shapes(services, west.list("endpoints"))
        return 2 * len(wanted.keys() | found.keys()), differences(wanted, found)

    def reached(self, seconds: float) -> tuple[float, int]:
        """Wait until every mirror is what it should be: for how long, and how many objects."""
        began = time.monotonic()

        def told() -> str:
            return "\n".join([*self.differences()[1], self._log()])

        def equal() -> int:
            try:
                compared, different = self.differences()
            except (AssertionError, ValueError):  # a server that is not ready yet
                return 0
            if different:
                time.sleep(_LOOK)
            return 0 if different else compared

        compared = eventually(told, equal, seconds)
        return time.monotonic() - began, compared

    def violations(self, deleted: Counter[str], allowed: Counter[str]) -> list[str]:
        """What should never have happened since :meth:`keep`.

        :param deleted: how often each mirror was.
        :param allowed: how often at the most.
        """
        uids = self._found_uids()
        told = [f"{key} has another uid" for key, uid in uids.items() if self._uids[key] != uid]
        if self._stranger() != self._foreign:
            told.append(f"{TAKEN} was touched: {self._foreign}, {self._stranger()}")
        told += [f"{key} was deleted {n} times" for key, n in deleted.items() if n > allowed[key]]
        return told

    def _found_uids(self) -> dict[str, str]:
        """Of the mirrors that are there from start to end."""
        kept = {f"{NAMESPACE}/{name}" for names in GROUPS.values() for name in names}
        found = {
            f"{s['metadata']['namespace']}/{s['metadata']['name']}": s["metadata"]["uid"]
            for s in self._cluster("west").list("services")
        }
        return {key: uid for key, uid in found.items() if key in kept}

    def _stranger(self) -> list[tuple[str, str]]:
        found = [self._cluster("west").get(kind, TAKEN) for kind in KINDS]
        return [(m["uid"], m["resourceVersion"]) for one in found if one for m in [one["metadata"]]]

    def _wanted(self) -> dict[str, Shape]:
        services, endpoints = (exported(self._cluster("east"), kind) for kind in KINDS)
        wanted = {}
        for group in GROUPS:
            of = [s for s in services if s["metadata"]["labels"]["of"] == group]
            wanted |= shapes(of, endpoints, group)
        del wanted[TAKEN]
        return wanted | shapes(
            *([self._cluster("north").get(kind, PULSE)] for kind in KINDS), "healthy"
        )
