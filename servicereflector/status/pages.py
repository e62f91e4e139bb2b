"""Answers to requests for the status page and for the JSON behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Protocol

import orjson
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.server import Request

from ..cooperation import cooperation_of
from ..emitter.bounds import ReadLimits, Reads
from ..emitter.clients import Bound
from ..emitter.refusals import Refusals
from ..kube.objects import Json
from ..kube.status import ApiError
from ..mirror.states import Status
from ..reasons import Code
from . import tables
from .choosing import Entry, runs, window
from .markup import document
from .page import POLICY, page
from .public import public_mirror, public_overview, public_text
from .query import BadQuery, Query, read_query

#: Answers under way at a time: each may hold the bytes of all mirrors.
MOST = 10

_SCHEMA = (files(__package__) / "schema.json").read_bytes()

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_JSON, _HTML, _TEXT = (
    "application/json",
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
)


class Reporting(Protocol):
    """What there is to be shown: Administration tells it."""

    def overview(self, *, public: bool = ...) -> Json: ...

    def statuses(self) -> Mapping[str, Mapping[str, Status]]: ...

    def mirror(self, key: str, source: str, status: Status) -> Json: ...


@dataclass(frozen=True, slots=True)
class _Chosen:
    """
    :ivar overview: as the public has it.
    :ivar query: what was asked for, by the public names.
    :ivar sorted_runs: the mirrors that are asked for.
    """

    overview: Json
    query: Query
    sorted_runs: list[list[Entry]]

    @property
    def matching(self) -> int:
        return sum(map(len, self.sorted_runs))


class StatusPages:
    """Every answer is made in pieces; what cannot be answered is told in one line."""

    log = Logger()

    def __init__(self, reactor: IReactorTime, reporting: Reporting) -> None:
        self._reporting = reporting
        self._cooperation = cooperation_of(reactor)
        limits = ReadLimits(lists=Bound(MOST))
        self._reads = Reads(reactor, limits, Refusals(reactor.seconds))

    async def page(self, request: Request) -> bytes:
        return await self._answer(request, _HTML, self._page)

    async def document(self, request: Request) -> bytes:
        return await self._answer(request, _JSON, self._document)

    def schema(self, request: Request) -> bytes:
        _head(request, 200, "application/schema+json")
        return _SCHEMA

    async def _answer(
        self, request: Request, content_type: str, make: Callable[[str], Awaitable[bytes]]
    ) -> bytes:
        query = request.uri.partition(b"?")[2].decode("utf-8", "replace")
        try:
            with self._reads.list(request) as place:
                body = await make(query)
                _head(request, 200, content_type)
                request.setHeader(b"Content-Length", b"%d" % len(body))
                return await self._reads.send(request, body, place)
        except BadQuery as error:
            _head(request, 400, _TEXT)
            return f"{error}\n".encode()
        except ApiError:  # there is no place for one more
            _head(request, 429, _TEXT)
            request.setHeader(b"Retry-After", b"1")
            return b"too many answers are under way: ask again\n"
        except CancelledError:  # the client has gone
            raise
        except Exception:
            self.log.failure("the status could not be told", reason=Code.INTERNAL_ERROR)
            _head(request, 500, _TEXT)
            return b"internal error, see the log\n"

    async def _page(self, text: str) -> bytes:
        chosen = await self._choose(text, ("q", "state", "source", "page"))
        query = replace(chosen.query, page=min(chosen.query.page, tables.pages_of(chosen.matching)))
        first = (query.page - 1) * tables.ROWS
        rows = await self._cooperation.all_of(self._rows(chosen, first, first + tables.ROWS))
        told = {
            **chosen.overview,
            "matching": chosen.matching,
            "mirrors": [row for piece in rows for row in piece],
        }
        return document(page(told, query))

    async def _document(self, text: str) -> bytes:
        chosen = await self._choose(text, ("q", "state", "source", "limit"))
        limit = chosen.query.limit
        rows = self._rows(chosen, 0, chosen.matching if limit is None else limit)
        pieces = (b",".join(map(orjson.dumps, piece)) for piece in rows)
        head = orjson.dumps({**chosen.overview, "matching": chosen.matching})
        mirrors = b",".join(filter(None, await self._cooperation.all_of(pieces)))
        return b'%s,"mirrors":[%s]}\n' % (head[:-1], mirrors)

    async def _choose(self, text: str, parameters: Collection[str]) -> _Chosen:
        overview = self._reporting.overview(public=True)
        names = {public_text(source["name"]): source["name"] for source in overview["sources"]}
        query = read_query(text, parameters, names)
        told = replace(query, source=names.get(query.source, ""))
        # The statuses of a name are replaced, never changed: they may be looked at later.
        statuses = tuple(self._reporting.statuses().items())
        found = await self._cooperation.all_of(runs(statuses, told))
        return _Chosen(public_overview(overview), query, found)

    def _rows(self, chosen: _Chosen, start: int, stop: int) -> Iterator[list[Json]]:
        for entries in window(chosen.sorted_runs, start, stop):
            yield [
                public_mirror(self._reporting.mirror(key, source, status))
                for _, key, source, status in entries
            ]


def _head(request: Request, code: int, content_type: str) -> None:
    request.setResponseCode(code)
    request.setHeader("Content-Type", content_type)
    for name, value in _HEADERS.items():
        request.setHeader(name, value)
