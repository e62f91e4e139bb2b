"""Two servers that are asked the same, over plain HTTP/1.1, and what they answer."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

Json = dict[str, Any]

#: Seconds for an answer, and for each event that is waited for.
PATIENCE = 8.0

#: The headers that clients act upon. The others (Date, Content-Length, X-Kubernetes-Pf-*) are the
#: server's own affair.
HEADERS = (
    "Content-Type",
    "Cache-Control",
    "Vary",
    "Content-Encoding",
    "Retry-After",
    "Warning",
    "X-Content-Type-Options",
    "Location",
)


@dataclass(slots=True)
class Answer:
    """
    :ivar documents: the parsed JSON: one of an ordinary answer, one an event of a stream; text
        where it is no JSON.
    :ivar end: how the body ended: ``clean``, ``cut``, or ``open`` where it had not.
    """

    status: int
    headers: dict[str, str]
    documents: list[Any] = field(default_factory=list)
    end: str = "clean"
    newline: bool = True

    def told(self) -> Json:
        return {
            "status": self.status,
            "headers": self.headers,
            "body": self.documents,
            "end": self.end,
            "newline": self.newline,
        }


class Exchange:
    """One request whose headers have been answered; the body is still to be read."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        headers = {name: self._response.headers[name] for name in HEADERS}
        self.answer = Answer(
            self._response.status, {name: value for name, value in headers.items() if value}
        )
        if self._response.headers["ETag"]:
            self.answer.headers["ETag"] = "present"

    def whole(self) -> Answer:
        """All of the body, as one document."""
        try:
            body = self._response.read()
        except (http.client.HTTPException, OSError):
            self.answer.end = "cut"
            body = b""
        self._connection.close()
        if self.answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.answer.newline = body.endswith(b"\n")
        told = self.answer.headers.get("Content-Type", "")
        self.answer.documents = [yaml.safe_load(body) if "yaml" in told else _parsed(body)]
        return self.answer

    def raw(self) -> tuple[int, bytes]:
        """The status and the body as it is."""
        try:
            return self.answer.status, self._response.read()
        finally:
            self._connection.close()

    def events(self, count: int) -> Answer:
        """The first ``count`` lines, or all until the end where that is 0."""
        documents = self.answer.documents
        while not count or len(documents) < count:
            try:
                line = self._response.readline()
            except TimeoutError:
                self.answer.end = "open"
                break
            except (http.client.HTTPException, OSError):
                self.answer.end = "cut"
                break
            if not line:
                break
            self.answer.newline = line.endswith(b"\n")
            documents.append(_parsed(line))
        else:
            self.answer.end = "open"
        self._connection.close()
        return self.answer


class Side:
    """One of the two servers."""

    def __init__(self, url: str, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._address = urlsplit(url)
        self._tls = tls
        self._headers = {"User-Agent": "differential"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Exchange:
        host, port = self._address.hostname or "", self._address.port
        connection = (
            http.client.HTTPSConnection(host, port, context=self._tls, timeout=PATIENCE)
            if self._tls
            else http.client.HTTPConnection(host, port, timeout=PATIENCE)
        )
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**self._headers, **headers}.items():
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        return Exchange(connection)

    def send_json(self, method: str, target: str, content_type: str, document: Json) -> Answer:
        body = json.dumps(document).encode()
        return self.send(method, target, {"Content-Type": content_type}, body).whole()

    def get(self, target: str) -> Json:
        answer = self.send("GET", target, {}).whole()
        assert answer.status == 200, answer
        document: Json = answer.documents[0]
        return document

    def version_of(self, collection: str) -> int:
        """The resourceVersion of a list of the newest data."""
        return int(self.get(f"{collection}?limit=1")["metadata"]["resourceVersion"])

    def await_version(self, collection: str, version: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while (seen := self.version_of(collection)) < version:
            assert time.monotonic() < deadline, f"{self.url} stays at {seen}, before {version}"
            time.sleep(0.005)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
