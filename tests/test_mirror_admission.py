"""What a source may have mirrored: addresses, ports and names, as values."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from naivehost import alone, converged, exporting, plan_of

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES
from servicereflector.mirror.addresses import (
    ANY,
    NOTHING,
    AddressRules,
    Reason,
    Reserved,
    Rewrite,
    ordered,
    read_rewrite,
    refusal_of,
    rewritten,
)
from servicereflector.mirror.admission import (
    Admission,
    admitted,
    read_ports,
    refused_external_name,
    refused_ports,
)
from servicereflector.mirror.networks import plain_of, read_network, told_ranges
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import HostState, State
from servicereflector.testing import strategies as kube
from servicereflector.testing.clusters import endpoints, service
from servicereflector.testing.strategies import Situation

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Among others those at the edges of what is refused.
EDGES = [
    "0.0.0.0",
    "0.255.255.255",
    "1.0.0.0",
    "126.255.255.255",
    "127.0.0.0",
    "127.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.254.0.0",
    "169.254.255.255",
    "169.255.0.0",
    "223.255.255.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "fe7f:ffff::",
    "fe80::",
    "febf:ffff::",
    "fec0::",
    "feff::",
    "ff00::",
    "ffff::",
    "::ffff:127.0.0.1",
    "::ffff:10.1.0.1",
    "::fffe:7f00:1",
]

addresses: st.SearchStrategy[Address] = st.one_of(
    st.sampled_from(EDGES).map(ipaddress.ip_address),
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.ip_addresses(v=4).map(lambda address: ipaddress.ip_address(f"::ffff:{address}")),
)


@st.composite
def networks(draw: st.DrawFn, version: int | None = None, length: int | None = None) -> str:
    address = draw(st.ip_addresses(v=version or draw(st.sampled_from((4, 6)))))
    bits = draw(st.integers(0, address.max_prefixlen)) if length is None else length
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


@st.composite
def rewrites(draw: st.DrawFn) -> Rewrite:
    before = ipaddress.ip_network(draw(networks()))
    after = ipaddress.ip_network(draw(networks(before.version, before.prefixlen)))
    # These are of the other family.
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    assume(before.version == 4 or not (before.overlaps(mapped) or after.overlaps(mapped)))
    return read_rewrite(f"{before}={after}")


def rules(*allowed: str, mapped: tuple[str, ...] = ()) -> AddressRules:
    return AddressRules(tuple(map(read_network, allowed)), ordered(map(read_rewrite, mapped)))


def plain(address: Address) -> Address:
    return (address.version == 6 and address.ipv4_mapped) or address


def refused_always(address: Address) -> bool:
    """As the standard library has it; and what Linux takes for the host, and for all of them."""
    judged = plain(address)
    return (
        judged.is_unspecified
        or judged.is_loopback
        or judged.is_link_local
        or judged.is_multicast
        or (judged.version == 4 and judged in ipaddress.ip_network("0.0.0.0/8"))
        or str(judged) == "255.255.255.255"
    )


@given(addresses)
def test_what_is_refused_always(address: Address) -> None:
    assert (refusal_of(str(address), ANY, NOTHING) is not None) == refused_always(address)


@given(addresses, st.lists(networks(), max_size=3), st.lists(networks(), max_size=2))
def test_allowed_and_reserved_networks(
    address: Address, allowed: list[str], ranges: list[str]
) -> None:
    """What is in a range of the host's is refused, be it allowed or not."""

    def within(cidrs: list[str]) -> bool:
        found = map(ipaddress.ip_network, cidrs)
        return any(plain(address) in network for network in found) or any(
            read_network(cidr).holds(plain_of(str(address)) or (0, 0)) for cidr in cidrs
        )

    reserved = Reserved(service_ranges=tuple(map(read_network, ranges)))
    told = refusal_of(str(address), rules(*allowed), reserved)
    passes = not refused_always(address) and not within(ranges)
    assert (told is None) == (passes and (not allowed or within(allowed)))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.96.0.10", Reason.SERVICE_RANGE),
        ("::ffff:10.96.0.10", Reason.SERVICE_RANGE),
        ("172.16.0.1", Reason.API_SERVER),
        ("10.1.0.1", None),
        ("10.2.0.1", Reason.NOT_ALLOWED),
        ("fd00::1", None),
        ("fd01::1", Reason.NOT_ALLOWED),
        ("010.1.0.1", Reason.INVALID),
        ("fe80::1%eth0", Reason.INVALID),
        ("", Reason.INVALID),
        ("a.example", Reason.INVALID),
        ("::ffff:127.0.0.1", Reason.LOOPBACK),
    ],
)
def test_reasons(address: str, reason: Reason | None) -> None:
    reserved = Reserved({(4, 0x0A60000A)}, (), {(4, 0xAC100001)})
    assert refusal_of(address, rules("10.1.0.0/16", "fd00::/64"), reserved) is reason


@given(rewrites(), st.data())
def test_a_rewrite_is_a_bijection(rewrite: Rewrite, data: st.DataObject) -> None:
    """Each address keeps its place in the network; and the way back leads back."""
    version, first, last = rewrite.before
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    address = str(kind(data.draw(st.integers(first, last))))
    there = rewritten(address, AddressRules(rewrites=(rewrite,)))
    plain_there, plain_here = plain_of(there), plain_of(address)
    assert plain_there is not None
    assert plain_here is not None
    assert rewrite.after.holds(plain_there)
    assert plain_there[1] - rewrite.after.first == plain_here[1] - first
    back = Rewrite(rewrite.after, rewrite.before)
    assert plain_of(rewritten(there, AddressRules(rewrites=(back,)))) == plain_here


@given(st.lists(rewrites(), max_size=4), addresses)
def test_what_is_in_no_mapped_network_keeps_its_name(made: list[Rewrite], address: Address) -> None:
    told = rewritten(str(address), AddressRules(rewrites=ordered(made)))
    held = plain_of(str(address)) or (0, 0)
    assert told == str(address) or any(rewrite.before.holds(held) for rewrite in made)


def test_the_longest_prefix_wins_and_is_not_mapped_again() -> None:
    mapped = rules(
        mapped=("10.0.0.0/8=100.0.0.0/8", "10.1.0.0/16=10.2.0.0/16", "10.1.1.0/24=192.0.2.0/24")
    )
    told = [rewritten(a, mapped) for a in ("10.3.0.1", "10.1.0.1", "10.1.1.1", "::ffff:10.1.1.1")]
    assert told[:3] == ["100.3.0.1", "10.2.0.1", "192.0.2.1"]
    # Python 3.13 writes it in another way.
    assert told[3] in ("::ffff:c000:201", "::ffff:192.0.2.1")


@pytest.mark.parametrize(
    ("message", "ranges"),
    [
        (
            "failed to allocated ip:0.0.0.1 with error:provided IP is not in the valid range. The"
            " range of valid IPs is 10.2.0.0/16",
            ("10.2.0.0/16",),
        ),
        ("failed to allocate IP ::2: ... The range of valid IPs is fd00::/112", ("fd00::/112",)),
        ("the provided network does not match the current range", ()),
        ("The range of valid IPs is 999.0.0.0/16", ()),
        ("", ()),
    ],
)
def test_ranges_are_read_from_a_refusal(message: str, ranges: tuple[str, ...]) -> None:
    assert told_ranges(message) == tuple(map(read_network, ranges))


def addresses_of(documents: list[Json]) -> set[str]:
    found = set()
    for document in documents:
        for endpoint in document.get("endpoints") or ():
            found.update(endpoint["addresses"])
        for subset in document.get("subsets") or ():
            for member in ("addresses", "notReadyAddresses"):
                found.update(address["ip"] for address in subset.get(member) or ())
    return found


ALLOWED = ("10.1.0.0/30", "10.1.0.4/30", "fd00::/126", "192.0.2.0/24")
MAPPED = ("10.1.0.0/29=127.0.0.0/29", "10.1.0.0/30=10.2.0.0/30", "fd00::/64=fe80::/64")
RESERVED = ("10.1.0.2/31", "10.2.0.2/31", "10.0.0.0/9", "fd00::/125")


@given(
    kube.situations(["east", "west"]),
    st.lists(st.sampled_from(ALLOWED), max_size=2),
    st.lists(st.sampled_from(MAPPED), max_size=2),
    st.sampled_from(RESERVED),
)
def test_nothing_refused_is_ever_in_a_mirror(
    situation: Situation, allowed: list[str], mapped: list[str], own: str
) -> None:
    """Whatever the sources say, and whatever the host has had before."""
    admission = Admission(rules(*allowed, mapped=tuple(mapped)))
    reserved = Reserved(service_ranges=(read_network(own),))
    sources = tuple(replace(source, admission=admission) for source in situation.sources)
    host = replace(situation.host, reserved=reserved)
    plan = plan_of(replace(situation, sources=sources, host=host))
    written = [
        action.document
        for action in plan.actions
        if action.resource in (ENDPOINTS, ENDPOINTSLICES) and hasattr(action, "document")
    ]
    named = [d for d in written if d.get("addressType") != "FQDN"]
    if plan.owner:
        for address in addresses_of(named):
            assert refusal_of(address, admission.addresses, reserved) is None
    assert allowed == [] or not addresses_of([d for d in written if d not in named])


def behind(*told: str) -> list[Json]:
    return [{"addressType": "IPv4", "endpoints": [{"addresses": [a]} for a in told]}]


def test_ordinary_slices_are_passed_on_as_they_are() -> None:
    """No copy is made of them."""
    slices = behind("10.1.0.1", "10.1.0.2")
    found, refused = admitted(slices, ANY, NOTHING)
    assert found[0] is slices[0]
    assert not refused


def test_what_is_left_out_is_told_with_its_reason() -> None:
    told = ("127.0.0.1", "10.1.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "127.0.0.1")
    found, refused = admitted(behind(*told), ANY, NOTHING)
    assert addresses_of(found) == {"10.1.0.1"}
    assert str(refused) == (
        "4 addresses are refused: '0.0.0.0' (unspecified), '127.0.0.1' (loopback),"
        " '169.254.169.254' (link-local) and 1 more"
    )


def test_of_several_addresses_the_others_stay() -> None:
    slices = [{"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1", "127.0.0.1"]}]}]
    found, _ = admitted(slices, ANY, NOTHING)
    assert found[0]["endpoints"] == [{"addresses": ["10.1.0.1"]}]


def test_names_pass_where_any_address_may_be_written() -> None:
    slices = [{"addressType": "FQDN", "endpoints": [{"addresses": ["a.example", "10.1.0.1"]}]}]
    assert addresses_of(admitted(slices, ANY, NOTHING)[0]) == {"a.example"}
    assert addresses_of(admitted(slices, rules("10.0.0.0/8"), NOTHING)[0]) == set()


@pytest.mark.parametrize(
    ("ports", "slices", "why"),
    [
        ([80, 443], [], ""),
        ([80, 22], [], "its port 22 is denied"),
        ([80], [{"ports": [{"port": 1023}], "endpoints": [{}]}], "port 1023 of its endpoints is"),
        ([80], [{"ports": [{"port": 1024}], "endpoints": [{}]}], ""),
        ([80], [{"ports": [{"port": 22}], "endpoints": []}], ""),
        ([80], [{"ports": [{}], "endpoints": [{}]}], "its endpoints stand for all ports, and some"),
        ([80], [{"endpoints": [{}]}], "its endpoints stand for all ports, and some"),
        ([80], [{"endpoints": []}], ""),
    ],
)
def test_denied_ports(ports: list[int], slices: list[Json], why: str) -> None:
    """A slice without endpoints, as a Service without Pods has one, says nothing of ports."""
    denied = [read_ports("22"), read_ports("1000-1023")]
    told = refused_ports(service("a/x", ports=ports), slices, denied)
    assert told.startswith(why)
    assert bool(told) == bool(why)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("db.example", ""),
        ("127.0.0.1", "its external name '127.0.0.1' is refused: loopback"),
        ("LocalHost.", "its external name 'localhost' is refused: loopback"),
        ("a.localhost", "its external name 'a.localhost' is refused: loopback"),
        ("10.9.0.1", "its external name '10.9.0.1' is refused: not allowed"),
        ("10.1.0.1", ""),
    ],
)
def test_external_names_that_are_addresses(name: str, why: str) -> None:
    document = {"spec": {"type": "ExternalName", "externalName": name}}
    assert refused_external_name(document, rules("10.1.0.0/16"), NOTHING) == why


def outcome(admission: Admission, source: Any = None, **policy: Any) -> tuple[Any, str, list[str]]:
    """The state of a/x, its reason, and the addresses of the mirror."""
    given_source = source or exporting(
        service("a/x"), endpoints("a/x", ["10.1.0.1", "10.2.0.1", "169.254.169.254"])
    )
    situation = alone(replace(given_source, admission=admission), policy=Policy(**policy))
    status = plan_of(situation).statuses["east"]
    host = converged(situation)
    found = addresses_of([host.objects[ENDPOINTS]]) if ENDPOINTS in host.objects else set()
    assert addresses_of(list(host.slices.values())) == found
    return status.state, status.reason, sorted(found)


def test_addresses_are_left_out_of_endpoints_and_slices() -> None:
    state, reason, found = outcome(Admission(rules("10.1.0.0/16")))
    assert (state, found) == (State.MIRRORED, ["10.1.0.1"])
    told = "'10.2.0.1' (not allowed), '169.254.169.254' (link-local)"
    assert reason == f"2 addresses are refused: {told}"


def test_an_address_is_mapped_and_then_judged() -> None:
    mapped = rules("100.64.0.0/10", mapped=("10.1.0.0/16=100.64.0.0/16",))
    _, reason, found = outcome(Admission(mapped))
    assert found == ["100.64.0.1"]
    assert reason.startswith("2 addresses are refused: ")


def test_a_service_is_refused_for_a_port() -> None:
    state, reason, found = outcome(Admission(denied_ports=((80, 80),)))
    assert (state, reason, found) == (State.REFUSED, "its port 80 is denied", [])


@pytest.mark.parametrize(("own", "all_of_them"), [(False, True), (None, False)])
def test_external_names_are_refused_by_source(own: bool | None, all_of_them: bool) -> None:
    external = exporting(service("a/x", type="ExternalName", externalName="db.example"), None)
    admission = Admission(external_names=own)
    assert outcome(admission, external, external_names=all_of_them)[0] is State.REFUSED
    allowed = Admission(external_names=None if all_of_them else True)
    assert outcome(allowed, external, external_names=all_of_them)[0] is State.MIRRORED


def test_namespaces_of_a_source_are_beside_those_of_all() -> None:
    states = [
        outcome(Admission(namespaces=("a",)), namespaces=("b",))[0],
        outcome(Admission(), namespaces=("b",))[0],
        outcome(Admission(denied_namespaces=("a",)))[0],
        outcome(Admission(namespaces=("a",)), denied_namespaces=("a",))[0],
    ]
    assert states == [State.MIRRORED, State.REFUSED, State.REFUSED, State.REFUSED]


def test_an_address_that_becomes_refused_is_taken_out_of_the_mirror() -> None:
    """The Service stays, with what else is behind it."""
    source = exporting(service("a/x"), endpoints("a/x", ["10.1.0.1", "10.2.0.1"]))
    host = converged(alone(source))
    reserved = Reserved(service_ranges=(read_network("10.2.0.0/16"),))
    plan = plan_of(alone(source), replace(host.state, reserved=reserved))
    for action in plan.actions:
        host.carry_out(action)
    assert addresses_of([host.objects[ENDPOINTS], *host.slices.values()]) == {"10.1.0.1"}
    assert host.deleted == []
    assert plan.statuses["east"].refused == 1


def test_a_host_without_addresses_of_its_own_reserves_none() -> None:
    assert HostState().reserved is NOTHING
