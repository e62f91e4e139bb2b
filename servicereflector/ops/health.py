"""Health and metrics over HTTP, on a port of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klein import Klein
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.web.server import Request

from ..emitter.answers import parameters_of


@dataclass(frozen=True, slots=True)
class Check:
    """
    :ivar problem: what is wrong now, ``""`` if nothing is.
    """

    name: str
    problem: Callable[[], str]


class HealthApi:
    """
    ``/health``, ``/healthz`` and ``/livez`` answer as long as the process does; ``/readyz`` tells
    whether it can do its work, with ``?verbose`` check by check.
    """

    app = Klein()

    def __init__(self, checks: Sequence[Check], registry: CollectorRegistry) -> None:
        self._checks = tuple(checks)
        self._registry = registry

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

    @staticmethod
    def _text(request: Request, code: int, verbose: bytes, short: bytes) -> bytes:
        request.setResponseCode(code)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        return verbose if "verbose" in parameters_of(request) else short
