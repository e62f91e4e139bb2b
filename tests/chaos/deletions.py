"""A witness on the host: which mirrors are deleted, or made anew."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

from e2e.clusters import Cluster

from servicereflector.kube.annotations import REFLECTED

from .churn import attempt

_PATH = f"/api/v1/services?labelSelector={quote(REFLECTED)}%3Dtrue"


class Deletions:
    """Watches the mirrors until it is stopped, past restarts of the host.

    :ivar seen: how often each name was deleted. Where the host has forgotten what happened, a
        name that is gone or has another uid since the last list counts as one.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.seen: Counter[str] = Counter()
        self._cluster = cluster
        self._tls = ssl.create_default_context(cafile=str(cluster.server.ca_file))
        self._version = ""
        self._uids: dict[str, str] = {}
        self._socket: socket.socket | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            if not self._version:
                self._list()
                continue
            try:
                self._watch()
            except (OSError, http.client.HTTPException, ValueError):
                continue  # the host is down, or was

    def _list(self) -> None:
        answer = attempt(self._cluster, "GET", _PATH)
        if answer is None:
            return
        before, self._uids = self._uids, dict(map(_identity, answer["items"]))
        self.seen.update(key for key, uid in before.items() if self._uids.get(key) != uid)
        self._version = answer["metadata"]["resourceVersion"]

    def _watch(self) -> None:
        server = self._cluster.server
        connection = http.client.HTTPSConnection(urlsplit(server.url).netloc, context=self._tls)
        connection.connect()
        self._socket = connection.sock
        try:
            headers = {"Authorization": f"Bearer {server.admin_token}", "User-Agent": "witness"}
            path = f"{_PATH}&watch=true&resourceVersion={self._version}"
            connection.request("GET", path, headers=headers)
            for line in connection.getresponse():
                self._take(json.loads(line))
        finally:
            self._socket = None
            connection.close()

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            self._version = ""
            return
        key, uid = _identity(event["object"])
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] == "DELETED":
            self._uids.pop(key, None)
            self.seen[key] += 1
        else:
            self._uids[key] = uid


def _identity(service: dict[str, Any]) -> tuple[str, str]:
    metadata = service["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}", metadata["uid"]
