"""The Service that asks the host what it takes ClusterIPs from.

No API tells that in all versions. But who asks for an impossible ClusterIP is told the valid ones:

- from 1.24 or so in a dry run; before, that looks at no ClusterIP;
- before, where the Service is created in truth: under the name of one that always exists, so that
  nothing could be written even if the address were taken;
- from 1.33 on the refusal tells no range, and ServiceCIDRs do, to who may list them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import orjson
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.objects import Json
from ..kube.resources import SERVICES
from ..kube.status import ApiError
from ..kube.text import shown
from ..listwatch.poller import Poller
from ..mirror.networks import Network, read_network, told_ranges
from ..outages import Outage
from ..reasons import Code

#: Of each family one that no cluster has.
IMPOSSIBLE = ("0.0.0.1", "::2")

#: Where ranges are listed since 1.33.
SERVICE_CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"

#: What such a host says of an address that is in none of them.
_MISMATCH = "does not match the current range"

#: Seconds after which a host that did not tell is asked again.
REFRESH = 600.0

#: Attempts that end in an error of the server's, before nothing is mirrored for want of an answer.
ATTEMPTS = 3


class RangesApi(Protocol):
    def request(
        self, method: str, path: str, *, params: Sequence[tuple[str, str]] = ..., body: bytes = ...
    ) -> Coroutine[Any, Any, bytes]: ...


class ServiceRanges(Poller):
    """
    :ivar known: whether the host has answered, with or without telling.
    :param learned: called with the answer, which may be of no ranges.
    :param namespace: the only one in which we may ask, ``""`` for any.
    """

    log = Logger()
    what = "its Service range"

    def __init__(
        self,
        reactor: IReactorTime,
        api: RangesApi,
        learned: Callable[[tuple[Network, ...]], None],
        *,
        random: Callable[[], float],
        namespace: str = "",
        outage: Outage | None = None,
    ) -> None:
        super().__init__(reactor, random, outage=outage)
        self.known = False
        self._api = api
        self._learned = learned
        self._namespace = namespace
        self._failures = 0

    async def _look(self) -> None:
        found: dict[Network, None] = {}
        said = [await self._refusal(address) for address in IMPOSSIBLE]
        for message in said:
            found.update(dict.fromkeys(told_ranges(message)))
        if not found and any(_MISMATCH in message for message in said):
            found.update(dict.fromkeys(await self._listed()))
        self._know(found, said[0])
        if not found:
            self._ask_in(REFRESH)

    def _know(self, found: Iterable[Network], said: str) -> None:
        ranges = tuple(found)
        if not ranges and not self.known:
            self.log.warn(
                "the host does not tell its Service range: of its ClusterIPs only those are refused"
                " to sources that are seen, unless --reflector.service-cidr tells it. It said:"
                " {said}",
                reason=Code.SERVICE_RANGE_UNKNOWN,
                said=shown(said) or "nothing",
            )
        first, self.known = not self.known, True
        if ranges or first:
            self._learned(ranges)

    async def _refusal(self, address: str) -> str:
        """What the host says of a Service with this address."""
        if self._namespace:
            return await self._create(address, {"generateName": "service-reflector-"}, dry=True)
        metadata = {"name": "kubernetes", "namespace": "default"}
        said = await self._create(address, metadata, dry=True)
        if address in said:
            return said
        return await self._create(address, metadata, dry=False)

    async def _create(self, address: str, metadata: Json, *, dry: bool) -> str:
        document = {"metadata": metadata, "spec": {"clusterIP": address, "ports": [{"port": 443}]}}
        try:
            await self._api.request(
                "POST",
                SERVICES.path(self._namespace or "default"),
                params=[("dryRun", "All")] if dry else [],
                body=orjson.dumps(document),
            )
        except ApiError as error:
            if error.code == 429 or error.code >= 500:
                raise
            return error.message
        return ""

    async def _listed(self) -> list[Network]:
        """The ranges of the ServiceCIDRs; none where there are none, or not for us."""
        try:
            answer = orjson.loads(await self._api.request("GET", SERVICE_CIDRS))
            told = [cidr for item in answer["items"] for cidr in item["spec"]["cidrs"]]
            return [read_network(cidr) for cidr in told]
        except (ApiError, ValueError, LookupError, TypeError):
            return []

    def _troubled(self, error: BaseException) -> None:
        if isinstance(error, ApiError):
            self._failures += 1
            if self._failures >= ATTEMPTS and not self.known:
                self._know((), str(error))
