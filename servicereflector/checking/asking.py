"""The Service that asks the host and the sources, all at once, prints what was found, and ends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TextIO

import orjson
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ..client.connection import ConfigError
from ..client.errors import TransportError
from ..kube.lists import decode_list
from ..kube.objects import BadObject, Record
from ..kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from ..kube.status import ApiError
from ..kube.subsets import flatten
from ..program import Program
from .findings import Finding, Found, as_json, count_of, fail, has_failed, in_lines, ok
from .mirrors import (
    addresses_of,
    judge_names,
    judge_overlaps,
    judge_reached,
    judge_refused,
)
from .permissions import REVIEWS, Need
from .permissions import judge as judge_permissions
from .servers import judge_clock, judge_error, judge_slices

#: Of each source so many endpoints are tried, and for so many seconds.
ENDPOINTS_TRIED = 3
TRIED_FOR = 2.0

#: Seconds between two looks at whether everything is listed.
_INTERVAL = 0.1

#: The status of the process.
PASSED, FAILED = 0, 2

_NO_ANSWER = (ApiError, ConfigError, TransportError, BadObject)


class Client(Protocol):
    """What a server is asked by."""

    async def dated(self, path: str, *, timeout: float) -> tuple[bytes, float | None]: ...

    async def request(
        self, method: str, path: str, *, body: bytes | None = ..., timeout: float | None = ...
    ) -> bytes: ...

    async def list(
        self, resource: Resource, *, namespace: str = ..., limit: int = ...
    ) -> bytes: ...


class Checker(Service):
    """
    :param program: whose informers list the host and the sources; it may not write.
    :param sources: all of them by name, once they are known; None before.
    :param needed: what the host is asked to allow.
    :param problems: what is wrong with the sources' files, a line for each.
    :param timeout: seconds that a server has for each answer, and all of them for their lists.
    :param probe: whether endpoints are tried.
    :param ended: called with the status of the process.
    """

    def __init__(
        self,
        reactor: Any,
        program: Program,
        host: Client,
        sources: Callable[[], Mapping[str, Client] | None],
        needed: Iterable[Need],
        *,
        problems: Callable[[], Sequence[str]],
        epoch: Callable[[], float],
        namespace: str,
        timeout: float,
        probe: bool,
        as_json: bool,
        out: TextIO,
        ended: Callable[[int], None],
    ) -> None:
        if program.controller is not None:
            program.controller.may_write = lambda: False
        self._reactor = reactor
        self._program = program
        self._host = host
        self._sources = sources
        self._needed = tuple(needed)
        self._problems = problems
        self._epoch = epoch
        self._namespace = namespace
        self._timeout = timeout
        self._probe = probe
        self._as_json = as_json
        self._out = out
        self._ended = ended
        self._running: Deferred[None] | None = None

    def startService(self) -> None:
        Service.startService(self)
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stopService(self) -> None:
        Service.stopService(self)
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _run(self) -> None:
        until = self._reactor.seconds() + self._timeout
        while self._sources() is None and self._reactor.seconds() < until:
            await self._pause()
        sources = self._sources() or {}
        asked = [self._ask_host(), *(self._ask_source(*source) for source in sources.items())]
        told = await _together(asked)
        findings = [finding for one in told for finding in one]
        findings += [
            fail("host", Found.SOURCE_FILE_UNUSABLE, problem, "mend the file; the others are used")
            for problem in self._problems()
        ]
        if self._program.controller is not None:
            findings += await self._compare(until)
            if not sources and not self._problems():
                findings.append(
                    fail(
                        "host", Found.NO_SOURCES, "no source is named", "say --source-api NAME=URL"
                    )
                )
        self._print(findings)
        self._ended(FAILED if has_failed(findings) else PASSED)

    async def _ask_host(self) -> list[Finding]:
        found = await self._ask_server("host", self._host)
        if not found or found[0].code is not Found.REACHABLE:
            return found
        try:
            answers = {need: await self._is_allowed(need) for need in self._needed}
        except _NO_ANSWER as error:
            return [*found, judge_error("host", error)]
        return [*found, *judge_permissions(answers)]

    async def _ask_source(self, name: str, client: Client) -> list[Finding]:
        found = await self._ask_server(name, client)
        for resource in (SERVICES, ENDPOINTS):
            if found[0].code is not Found.REACHABLE:
                break
            try:
                body = await client.list(resource, namespace=self._namespace, limit=1)
                decode_list(resource, body)
            except _NO_ANSWER as error:
                found.append(judge_error(name, error))
                break
        return found

    async def _ask_server(self, name: str, client: Client) -> list[Finding]:
        asked = self._epoch()
        try:
            body, time = await client.dated("/version", timeout=self._timeout)
            answered = self._epoch()
            version = orjson.loads(body).get("gitVersion", "an unknown version")
        except _NO_ANSWER as error:
            return [judge_error(name, error)]
        except (orjson.JSONDecodeError, AttributeError):
            return [judge_error(name, BadObject("/version is answered with something else"))]
        return [
            ok(name, Found.REACHABLE, f"reachable, {version}"),
            judge_clock(name, time, asked, answered),
            judge_slices(name, await self._serves_slices(client)),
        ]

    async def _serves_slices(self, client: Client) -> bool:
        path = f"/apis/{ENDPOINTSLICES.api_version}"
        try:
            await client.request("GET", path, timeout=self._timeout)
        except _NO_ANSWER:
            return False
        return True

    async def _is_allowed(self, need: Need) -> bool:
        body = orjson.dumps(need.review())
        answer = await self._host.request("POST", REVIEWS, body=body, timeout=self._timeout)
        try:
            return bool(orjson.loads(answer)["status"]["allowed"])
        except (orjson.JSONDecodeError, LookupError, TypeError):
            raise BadObject("a SelfSubjectAccessReview is answered with something else") from None

    async def _compare(self, until: float) -> list[Finding]:
        """What their lists tell, as far as they come."""
        controller = self._program.controller
        assert controller is not None
        fleet = controller.fleet
        while self._reactor.seconds() < until and not (
            controller.features() and all(source.synced for source in fleet.sources)
        ):
            await self._pause()
        found = []
        for source in fleet.sources:
            if source.synced:
                told = f"{count_of(len(source.services), 'Service')} listed"
                found.append(ok(source.name, Found.LISTED, told))
            else:
                found.append(self._not_listed(source.name))
        features = controller.features()
        if features is None:
            return [*found, self._not_listed("host")]
        while fleet.review():
            await self._pause()
        plans = {}
        for number, key in enumerate(controller.all_keys()):
            plans[key] = controller.plan(key, features)
            if number % 100 == 99:
                await deferLater(self._reactor, 0)
        found += judge_names(plans)
        synced = [source for source in fleet.sources if source.synced]
        for source in synced:
            found += judge_refused(source.name, plans)
        own = [r for r in controller.host.endpoints if r.source is None]
        clusters = {"host": addresses_of(own)}
        clusters |= {source.name: addresses_of(list(source.endpoints)) for source in synced}
        found += judge_overlaps(clusters)
        if self._probe:
            tried = [reach(self._reactor, list(source.endpoints)) for source in synced]
            for source, reached in zip(synced, await _together(tried), strict=True):
                found += judge_reached(source.name, reached)
        return found

    def _not_listed(self, subject: str) -> Finding:
        told = f"its Services were not listed within {self._timeout:g} s"
        remedy = "mend what is said of it above, or say --timeout"
        return fail(subject, Found.NOT_LISTED, told, remedy)

    async def _pause(self) -> None:
        await deferLater(self._reactor, _INTERVAL)

    def _print(self, findings: Sequence[Finding]) -> None:
        if self._as_json:
            told = orjson.dumps(as_json(findings), option=orjson.OPT_INDENT_2).decode() + "\n"
        else:
            told = "".join(f"{line}\n" for line in in_lines(findings))
        self._out.write(told)
        self._out.flush()


async def reach(reactor: Any, endpoints: Sequence[Record]) -> dict[str, str]:
    """By ``address:port`` of a few that are ready, why there was no connection."""
    chosen: dict[tuple[str, int], None] = {}
    for record in endpoints:
        for address, port in flatten(record.document().get("subsets")):
            tcp = port is not None and port.protocol == "TCP"
            if address.ready and port is not None and tcp and len(chosen) < ENDPOINTS_TRIED:
                chosen[address.ip, port.number] = None
    told = await _together([_connect(reactor, *where) for where in chosen])
    return {
        f"{f'[{ip}]' if ':' in ip else ip}:{port}": why
        for (ip, port), why in zip(chosen, told, strict=True)
    }


async def _connect(reactor: Any, ip: str, port: int) -> str:
    endpoint = HostnameEndpoint(reactor, ip, port, timeout=TRIED_FOR)
    try:
        protocol: Any = await endpoint.connect(Factory.forProtocol(TwistedProtocol))
    except Exception as error:
        return str(error) or type(error).__name__
    protocol.transport.abortConnection()
    return ""


async def _together(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    results = await DeferredList([Deferred.fromCoroutine(one) for one in work], consumeErrors=True)
    for succeeded, result in results:
        if not succeeded:
            assert isinstance(result, Failure)
            result.raiseException()
    return [result for _, result in results]
