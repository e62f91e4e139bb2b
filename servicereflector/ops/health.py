"""Health and metrics over HTTP, on a port of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from klein import Klein
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.web.server import Request
from werkzeug.exceptions import NotFound

from ..emitter.answers import parameters_of


@dataclass(frozen=True, slots=True)
class Check:
    """
    :ivar problem: what is wrong now, ``""`` if nothing is.
    """

    name: str
    problem: Callable[[], str]


class Pages(Protocol):
    """The status page, and the JSON behind it with its schema."""

    async def page(self, request: Request) -> bytes: ...

    async def document(self, request: Request) -> bytes: ...

    def schema(self, request: Request) -> bytes: ...


class HealthApi:
    """
    ``/health``, ``/healthz`` and ``/livez`` answer as long as the process does; ``/readyz`` tells
    whether it can do its work, with ``?verbose`` check by check; ``/`` and
    ``/status.json`` tell the rest.
    """

    app = Klein()

    def __init__(
        self,
        checks: Sequence[Check],
        registry: CollectorRegistry,
        pages: Pages | None = None,
    ) -> None:
        """
        :param pages: None where there is no status page.
        """
        self._checks = tuple(checks)
        self._registry = registry
        self._pages = pages

    @app.route("/health")
    @app.route("/healthz")
    @app.route("/livez")
    def alive(self, request: Request) -> bytes:
        name = request.path.lstrip(b"/")
        return self._text(request, 200, b"[+]ping ok\n%s check passed\n" % name, b"ok")

    @app.route("/readyz")
    def ready(self, request: Request) -> bytes:
        problems = [(check.name, check.problem()) for check in self._checks]
        well = not any(problem for _, problem in problems)
        lines = [f"[-]{n} failed: {p}\n" if p else f"[+]{n} ok\n" for n, p in problems]
        lines.append(f"readyz check {'passed' if well else 'failed'}\n")
        full = "".join(lines).encode()
        return self._text(request, 200 if well else 503, full, b"ok" if well else full)

    @app.route("/metrics")
    def metrics(self, request: Request) -> bytes:
        encode, content_type = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("Content-Type", content_type)
        return encode(self._registry)

    @app.route("/", methods=["GET"])
    async def page(self, request: Request) -> bytes:
        return await self._shown().page(request)

    @app.route("/status.json", methods=["GET"])
    async def document(self, request: Request) -> bytes:
        return await self._shown().document(request)

    @app.route("/status.schema.json", methods=["GET"])
    def schema(self, request: Request) -> bytes:
        return self._shown().schema(request)

    def _shown(self) -> Pages:
        if self._pages is None:
            raise NotFound
        return self._pages

    @staticmethod
    def _text(request: Request, code: int, verbose: bytes, short: bytes) -> bytes:
        request.setResponseCode(code)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        return verbose if "verbose" in parameters_of(request) else short
