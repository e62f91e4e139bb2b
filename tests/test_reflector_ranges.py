"""How the host is asked what it takes ClusterIPs from, in the words of several versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import orjson
import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from servicereflector.kube.status import ApiError
from servicereflector.mirror.networks import Network, read_network
from servicereflector.reflector.ranges import ATTEMPTS, REFRESH, SERVICE_CIDRS, ServiceRanges

Answer = Callable[[str, str, bool], None]  # the method, the address or path, whether it is dry

IN_1_20 = (
    'Service "kubernetes" is invalid: spec.clusterIPs: Invalid value: []string{{"{0}"}}: failed to'
    " allocated ip:{0} with error:provided IP is not in the valid range. The range of valid IPs is"
    " 10.2.0.0/16"
)
IN_1_30 = (
    'Service "kubernetes" is invalid: spec.clusterIPs: Invalid value: []string{{"{0}"}}: failed to'
    " allocate IP {0}: the provided IP ({0}) is not in the valid range. The range of valid IPs is"
    " {1}"
)
IN_1_33 = (
    'Service "kubernetes" is invalid: spec.clusterIPs: Invalid value: []string{{"{0}"}}: failed to'
    " allocate IP {0}: the provided network does not match the current range"
)


class Host:
    """
    :ivar asked: each question, a word for how and the address.
    """

    def __init__(self, answer: Answer, cidrs: bytes | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._cidrs = cidrs

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> bytes:
        if path == SERVICE_CIDRS:
            self.asked.append("list")
            if self._cidrs is None:
                raise ApiError(403, "servicecidrs is forbidden")
            return self._cidrs
        document = orjson.loads(body)
        dry = ("dryRun", "All") in params
        # What is asked in truth must never be able to succeed.
        assert dry or (path.split("/")[-2], document["metadata"]["name"]) == (
            "default",
            "kubernetes",
        )
        address = document["spec"]["clusterIP"]
        self.asked.append(f"{'dry' if dry else 'wet'} {address}")
        self._answer(method, address, dry)
        return b"{}"


class Asking:
    def __init__(self, host: Host, namespace: str = "") -> None:
        self.clock = Clock()
        self.told: list[tuple[Network, ...]] = []
        self.ranges = ServiceRanges(
            self.clock,  # type: ignore[arg-type]
            host,
            self.told.append,
            random=lambda: 0.5,
            namespace=namespace,
        )
        self.ranges.startService()

    def told_now(self) -> list[tuple[Network, ...]]:
        self.ranges.stopService()
        return self.told


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []

    def note(event: dict[str, object]) -> None:
        if event.get("log_namespace", "").endswith("ServiceRanges"):  # type: ignore[attr-defined]
            found.append(str(event.get("said")))

    globalLogPublisher.addObserver(note)  # type: ignore[arg-type]
    yield found
    globalLogPublisher.removeObserver(note)  # type: ignore[arg-type]


def refusing(template: str, *ranges: str) -> Answer:
    def answer(_method: str, address: str, _dry: bool) -> None:
        family = [cidr for cidr in ranges if (":" in cidr) is (":" in address)]
        raise ApiError(422, template.format(address, (family or list(ranges) or [""])[0]))

    return answer


def old(_method: str, address: str, dry: bool) -> None:
    """1.20 looks at no ClusterIP in a dry run."""
    if dry:
        raise ApiError(409, 'services "kubernetes" already exists')
    raise ApiError(422, IN_1_20.format(address))


def test_an_old_host_is_asked_in_truth() -> None:
    host = Host(old)
    assert Asking(host).told_now() == [(read_network("10.2.0.0/16"),)]
    assert host.asked == ["dry 0.0.0.1", "wet 0.0.0.1", "dry ::2", "wet ::2"]


def test_a_newer_one_by_a_dry_run_for_each_family() -> None:
    host = Host(refusing(IN_1_30, "10.96.0.0/12", "fd00:96::/112"))
    told = Asking(host).told_now()
    assert told == [(read_network("10.96.0.0/12"), read_network("fd00:96::/112"))]
    assert host.asked == ["dry 0.0.0.1", "dry ::2"]


def test_since_1_33_service_cidrs_are_listed() -> None:
    items = [{"spec": {"cidrs": ["10.96.0.0/12", "fd00:96::/112"]}}, {"spec": {"cidrs": []}}]
    host = Host(refusing(IN_1_33), orjson.dumps({"items": items}))
    told = Asking(host).told_now()
    assert told == [(read_network("10.96.0.0/12"), read_network("fd00:96::/112"))]
    assert host.asked == ["dry 0.0.0.1", "dry ::2", "list"]


@pytest.mark.parametrize("cidrs", [None, b"{}", b"no", b'{"items": [{"spec": {"cidrs": ["x"]}}]}'])
def test_a_host_that_does_not_tell_is_asked_again_and_told_of_once(
    cidrs: bytes | None, warnings: list[str]
) -> None:
    asking = Asking(Host(refusing(IN_1_33), cidrs))
    assert asking.ranges.known
    asking.clock.advance(REFRESH)
    asking.clock.advance(REFRESH)
    assert asking.told_now() == [()]
    assert warnings == [IN_1_33.format("0.0.0.1")]


def test_in_one_namespace_nothing_is_asked_in_truth(warnings: list[str]) -> None:
    host = Host(lambda *_: None)
    assert Asking(host, namespace="shop").told_now() == [()]
    assert host.asked == ["dry 0.0.0.1", "dry ::2"]
    assert warnings == ["nothing"]


def test_an_error_of_the_hosts_is_no_answer_for_a_while() -> None:
    def answer(_method: str, _address: str, _dry: bool) -> None:
        raise ApiError(500, "a webhook failed")

    asking = Asking(Host(answer))
    for _ in range(ATTEMPTS - 1):
        assert not asking.ranges.known
        asking.clock.advance(60)
    assert asking.ranges.known
    assert asking.told_now() == [()]
