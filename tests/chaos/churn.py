"""Changes that go on all the while, whether or not anybody can hear of them."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from types import TracebackType
from typing import Any

from e2e.clusters import Cluster, subsets

Json = dict[str, Any]

#: Seconds between two changes: some 15 a second, as fast as one plain client gets them done.
PAUSE = 0.05

NAMESPACE = "shop"

#: Of each group, how many come and go.
PASSING = 5


def attempt(cluster: Cluster, method: str, path: str, body: Json | None = None) -> Json | None:
    """The answer; None where there was none, or another one than was hoped for."""
    try:
        code, answer = cluster.call(method, path, body)
    except (OSError, HTTPException, ValueError):  # cut off in the middle, or no JSON
        return None
    return answer if code in (200, 201) else None


class Churn:
    """A context manager: in it, a thread changes the Services of each group at random.

    :ivar deleted: how often each name's deletion was tried.
    :ivar changes: how many changes were made.
    """

    def __init__(
        self, cluster: Callable[[], Cluster], groups: Mapping[str, Sequence[str]], seed: int
    ) -> None:
        """
        :param cluster: asked anew each time: its certificate may be another one.
        :param groups: the names that stay, by the value of their label ``of``.
        """
        self.deleted: Counter[str] = Counter()
        self.changes = 0
        self._cluster = cluster
        self._groups = groups
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Begin no further change."""
        self._ended.set()

    def _run(self) -> None:
        change = (self._move, self._move, self._label, self._renumber, self._pass)
        while not self._ended.wait(PAUSE):
            group = self._random.choice(list(self._groups))
            name = self._random.choice(self._groups[group])
            if self._random.choice(change)(group, name):
                self.changes += 1

    def _address(self) -> str:
        return f"10.9.{self._random.randrange(256)}.{self._random.randrange(1, 255)}"

    def _change(self, kind: str, name: str, **members: Any) -> bool:
        path = f"/api/v1/namespaces/{NAMESPACE}/{kind}/{name}"
        found = attempt(self._cluster(), "GET", path)
        if found is None:
            return False
        for member, value in members.items():
            part = found.setdefault(member, {})
            found[member] = {**part, **value} if isinstance(value, dict) else value
        return attempt(self._cluster(), "PUT", path, found) is not None

    def _move(self, _group: str, name: str) -> bool:
        ips = [self._address() for _ in range(self._random.randrange(1, 4))]
        return self._change("endpoints", name, subsets=subsets(*ips))

    def _label(self, group: str, name: str) -> bool:
        labels = {"of": group, "round": str(self._random.randrange(1000))}
        return self._change("services", name, metadata={"labels": labels})

    def _renumber(self, _group: str, name: str) -> bool:
        ports = [{"port": self._random.randrange(1, 65536)}]
        return self._change("services", name, spec={"ports": ports})

    def _pass(self, group: str, _name: str) -> bool:
        name = f"{group}-passing-{self._random.randrange(PASSING)}"
        path = f"/api/v1/namespaces/{NAMESPACE}"
        metadata = {"name": name, "labels": {"of": group}}
        service = {"metadata": metadata, "spec": {"ports": [{"port": 80}]}}
        if attempt(self._cluster(), "POST", f"{path}/services", service) is not None:
            endpoints = {"metadata": metadata, "subsets": subsets(self._address())}
            return attempt(self._cluster(), "POST", f"{path}/endpoints", endpoints) is not None
        self.deleted[f"{NAMESPACE}/{name}"] += 1
        gone = [attempt(self._cluster(), "DELETE", f"{path}/{k}/{name}") for k in KINDS]
        return None not in gone


KINDS = ("services", "endpoints")
