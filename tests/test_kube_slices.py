"""Slices as a set, and the way from Endpoints to them and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import ENDPOINTSLICES
from servicereflector.kube.slices import (
    SERVICE_NAME,
    Conditions,
    SlicePort,
    endpoints_of_slices,
    flatten_slices,
    service_key,
    slices_of_endpoints,
)
from servicereflector.kube.subsets import flatten, pack, truncate
from servicereflector.testing import strategies as kube

HTTP = {"name": "http", "port": 80, "protocol": "TCP"}
PORT = SlicePort("http", 80, "TCP", "")
READY = Conditions(True, None, None)


def slice_of(*endpoints: object, **rest: Any) -> Json:
    members = {"addressType": "IPv4", "ports": [HTTP], **rest}
    return {"metadata": {"name": "x-1", "namespace": "a"}, "endpoints": list(endpoints), **members}


def behind(*subsets: Json) -> Json:
    return {"metadata": {"name": "x", "namespace": "a"}, "subsets": list(subsets)}


def test_a_slice_is_its_addresses_behind_its_ports() -> None:
    """Whichever slice they are in."""
    one = slice_of({"addresses": ["10.1.0.1"], "hostname": "x-0", "zone": "z"})
    other = slice_of({"addresses": ["10.1.0.2"]}, ports=[HTTP, {"port": 53, "protocol": "UDP"}])
    assert flatten_slices([one, other]) == {
        ("10.1.0.1", PORT, READY, "x-0", "z"),
        ("10.1.0.2", PORT, READY, "", ""),
        ("10.1.0.2", SlicePort("", 53, "UDP", ""), READY, "", ""),
    }


def test_what_is_not_told_of_readiness_is_ready() -> None:
    """The API has it so; serving and terminating stay unknown."""
    told = [{}, {"ready": None}, {"ready": False, "serving": True, "terminating": True}]
    endpoints = [{"addresses": [f"10.1.0.{n}"], "conditions": c} for n, c in enumerate(told)]
    found = {one[0]: one[2] for one in flatten_slices([slice_of(*endpoints)])}
    assert found["10.1.0.0"] == found["10.1.0.1"] == READY
    assert found["10.1.0.2"] == Conditions(False, True, True)


def test_without_ports_is_behind_none() -> None:
    """Null, absent or empty; a port without a number stands for all and is one."""
    endpoint = {"addresses": ["10.1.0.1"]}
    nothing = flatten_slices([slice_of(endpoint, ports=None)])
    assert nothing == flatten_slices([slice_of(endpoint, ports=[])]) != set()
    assert {one[1] for one in nothing} == {None}
    every = flatten_slices([slice_of(endpoint, ports=[{"name": ""}])])
    assert {one[1] for one in every} == {SlicePort("", None, "TCP", "")}


@given(kube.json_values, kube.json_values, kube.json_values, kube.json_values)
def test_what_is_malformed_is_left_out(a: object, b: object, c: object, d: object) -> None:
    """And never raises."""
    good = {"addresses": ["10.1.0.1"]}
    endpoints = [a, {"addresses": b}, {"addresses": [c], "conditions": d}, good]
    found = flatten_slices(
        [slice_of(*endpoints), {"endpoints": a, "ports": b}, slice_of(ports=[d])]
    )
    assert ("10.1.0.1", PORT, READY, "", "") in found


def test_the_label_names_the_service() -> None:
    """In the slice's own namespace; without it the slice is nobody's."""
    document = slice_of()
    assert service_key(record_of(ENDPOINTSLICES, dict(document))) == ""
    document["metadata"]["labels"] = {SERVICE_NAME: "x"}
    assert service_key(record_of(ENDPOINTSLICES, document)) == "a/x"


@given(kube.endpoints("a/x"))
def test_endpoints_come_back_from_their_slices(document: Json) -> None:
    """The same set, in names that differ, in slices that the API takes."""
    slices = slices_of_endpoints(document)
    assert endpoints_of_slices(slices, "IPv4") == flatten(document.get("subsets"))
    names = [one["metadata"]["name"] for one in slices]
    assert len(set(names)) == len(names)
    for one in slices:
        ports = [port["name"] for port in one["ports"]]
        assert len(set(ports)) == len(ports)
        assert one["endpoints"]


@given(kube.endpoints("a/x"), st.integers(0, 3))
def test_slices_do_not_depend_on_how_endpoints_are_packed(document: Json, turn: int) -> None:
    """Names included."""
    subsets = document.get("subsets", [])
    turned = {**document, "subsets": subsets[turn:] + subsets[:turn]}
    packed = {**document, "subsets": pack(flatten(subsets))}
    assert slices_of_endpoints(document) == slices_of_endpoints(turned)
    assert slices_of_endpoints(document) == slices_of_endpoints(packed)


def test_families_are_slices_of_their_own() -> None:
    """A slice has one; what is no address is in none."""
    addresses = [{"ip": "10.1.0.1"}, {"ip": "fd00::1"}, {"ip": "x.example"}]
    slices = slices_of_endpoints(behind({"addresses": addresses, "ports": [HTTP]}))
    found = {one["addressType"]: one["endpoints"][0]["addresses"] for one in slices}
    assert found == {"IPv4": ["10.1.0.1"], "IPv6": ["fd00::1"]}


def test_ports_of_one_name_are_slices_of_their_own() -> None:
    """The API takes a name once in a slice."""
    ports = [{"port": 80}, {"port": 81}]
    slices = slices_of_endpoints(behind({"addresses": [{"ip": "10.1.0.1"}], "ports": ports}))
    assert sorted(port["port"] for one in slices for port in one["ports"]) == [80, 81]
    assert [len(one["ports"]) for one in slices] == [1, 1]


def test_many_addresses_stay_where_they_are() -> None:
    """At most 1000 a slice; one that goes leaves the others alone."""
    addresses = [{"ip": f"10.1.{n >> 8}.{n & 255}"} for n in range(2500)]
    before = slices_of_endpoints(behind({"addresses": addresses, "ports": [HTTP]}))
    after = slices_of_endpoints(behind({"addresses": addresses[1:], "ports": [HTTP]}))
    assert all(len(one["endpoints"]) <= 1000 for one in before)
    assert sum(len(one["endpoints"]) for one in before) == 2500
    assert sum(one not in before for one in after) == 1


def test_endpoints_are_of_one_family() -> None:
    """And behind no port where a port stands for all."""
    four = slice_of({"addresses": ["10.1.0.1"]}, ports=[{"name": "any"}])
    six = slice_of({"addresses": ["fd00::1"]}, addressType="IPv6")
    subsets = pack(endpoints_of_slices([four, six], "IPv4"))
    assert subsets == [{"addresses": [{"ip": "10.1.0.1"}]}]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5),
    st.integers(1, 40),
)
def test_truncation_keeps_shares(counts: list[tuple[int, int]], most: int) -> None:
    """Ready ones first; as many as there may be; each subset's share, but for rounding."""
    subsets = [
        {
            "addresses": [{"ip": f"r{n}"} for n in range(ready)],
            "notReadyAddresses": [{"ip": f"u{n}"} for n in range(unready)],
            "ports": [{"port": number}],
        }
        for number, (ready, unready) in enumerate(counts)
        if ready or unready
    ]
    cut, truncated = truncate(subsets, most)
    ready, unready = sum(c[0] for c in counts), sum(c[1] for c in counts)
    assert truncated == (ready + unready > most)
    kept = {one["ports"][0]["port"]: one for one in cut}
    assert sum(len(one.get("addresses", ())) for one in cut) == min(ready, most)
    told = sum(len(one.get("notReadyAddresses", ())) for one in cut)
    assert told == min(unready, max(0, most - ready))
    for one in subsets:
        after = kept.get(one["ports"][0]["port"], {}).get("addresses", [])
        assert after == one["addresses"][: len(after)]
        share = len(one["addresses"]) * min(1, most / max(ready, 1))
        assert abs(len(after) - share) < 1 + 1e-9
