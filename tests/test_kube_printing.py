"""Tables and metadata: cell by cell, and whole beside those of a real kube-apiserver."""

from __future__ import annotations

import http.client
import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import Json
from servicereflector.kube.printing import (
    bookmark_row,
    cells,
    columns_of,
    human_duration,
    partial_list,
    partial_object,
    row,
    table,
)
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.kube.watchevents import encode_bookmark
from servicereflector.testing import strategies as kube
from servicereflector.testing.envtest import ApiServer, Binaries

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400

BORN, NOW = "2026-01-01T00:00:00Z", 1767225600 + 90


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-2, "<invalid>"),
        (-1.9, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 5, "2m5s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 59, "3h"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR, "8y"),
        (100 * YEAR, "100y"),
    ],
)
def test_an_age_is_told_in_at_most_two_units(seconds: float, told: str) -> None:
    assert human_duration(seconds) == told


def seconds_of(told: str) -> int:
    lengths = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": YEAR}
    total = number = 0
    for character in told:
        if character.isdigit():
            number = number * 10 + int(character)
        else:
            total, number = total + number * lengths[character], 0
    return total


@given(st.integers(0, 20 * YEAR), st.integers(0, 20 * YEAR))
def test_an_age_is_rounded_down_and_never_grows_younger(one: int, other: int) -> None:
    younger, older = sorted((one, other))
    assert seconds_of(human_duration(younger)) <= younger
    assert seconds_of(human_duration(younger)) <= seconds_of(human_duration(older))


def service(**spec: Any) -> Json:
    return {"metadata": {"name": "a", "creationTimestamp": BORN}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ClusterIP", "clusterIP": "None"}, ["ClusterIP", "None", "<none>", "<none>"]),
        (
            {"type": "ClusterIP", "clusterIP": "1.1.1.1", "clusterIPs": ["1.1.1.1", "fd::1"]},
            ["ClusterIP", "1.1.1.1", "<none>", "<none>"],
        ),
        (
            {"type": "ExternalName", "externalName": "x.org"},
            ["ExternalName", "<none>", "x.org", "<none>"],
        ),
        (
            {"type": "LoadBalancer", "clusterIP": "1.1.1.1", "externalIPs": ["9.9.9.9"]},
            ["LoadBalancer", "1.1.1.1", "9.9.9.9", "<none>"],
        ),
        (
            {
                "type": "NodePort",
                "ports": [
                    {"port": 80, "nodePort": 30000, "protocol": "TCP"},
                    {"port": 53, "protocol": "UDP"},
                ],
            },
            ["NodePort", "<none>", "<none>", "80:30000/TCP,53/UDP"],
        ),
        ({}, ["", "<none>", "<unknown>", "<none>"]),
    ],
)
def test_a_services_cells(spec: Json, expected: list[str]) -> None:
    assert cells(SERVICES, service(**spec), NOW) == ["a", *expected, "90s", "<none>"]


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ([], "<pending>"),
        ([{"ip": "2.2.2.2"}, {"hostname": "x.org"}, {"ip": "1.1.1.1"}], "1.1.1.1,2.2.2.2,x.org"),
        ([{"ip": "1.1.1.1", "hostname": "x"}, {"ip": "1.1.1.1"}, {}], "1.1.1.1"),
    ],
)
def test_a_load_balancers_addresses_are_sorted(ingress: list[Json], expected: str) -> None:
    document = {**service(type="LoadBalancer"), "status": {"loadBalancer": {"ingress": ingress}}}
    assert cells(SERVICES, document, NOW)[3] == expected


def test_a_selector_is_sorted() -> None:
    assert cells(SERVICES, service(selector={"b": "2", "a": ""}), NOW)[6] == "a=,b=2"


def addresses(*ips: str) -> list[Json]:
    return [{"ip": ip} for ip in ips]


PORTS = [{"port": 80}, {"port": 443}]


@pytest.mark.parametrize(
    ("subsets", "expected"),
    [
        (None, "<none>"),
        ([], "<none>"),
        ([{"notReadyAddresses": addresses("1.1.1.1"), "ports": PORTS}], ""),
        ([{"addresses": addresses("1.1.1.1", "::1")}], "1.1.1.1,::1"),
        ([{"addresses": addresses("::1"), "ports": PORTS}], "[::1]:80,[::1]:443"),
        (
            [{"addresses": addresses("1.1.1.1", "2.2.2.2"), "ports": PORTS}],
            "1.1.1.1:80,2.2.2.2:80,1.1.1.1:443 + 1 more...",
        ),
        (
            [{"addresses": addresses(*"abcd"), "ports": PORTS}, {"addresses": addresses("e")}],
            "a:80,b:80,c:80 + 6 more...",
        ),
    ],
)
def test_endpoints_are_shown_port_by_port(subsets: object, expected: str) -> None:
    document = {"metadata": {"name": "a"}, "subsets": subsets}
    assert cells(ENDPOINTS, document, NOW) == ["a", expected, "<unknown>"]


@pytest.mark.parametrize(
    ("ports", "endpoints", "expected"),
    [
        (None, None, ["<unset>", "<unset>"]),
        ([{"name": "", "port": 80}], [{"addresses": ["::1"]}], ["80", "::1"]),
        ([{"name": ""}], [], ["<unset>", "<unset>"]),
        ([{"name": "x"}, {}, {"port": 1}, {"port": 2}], [], ["x,*,1 + 1 more...", "<unset>"]),
        (
            [],
            [{"addresses": ["a", "b"], "conditions": {"ready": False}}, {"addresses": ["c", "d"]}],
            ["<unset>", "a,b,c + 1 more..."],
        ),
    ],
)
def test_a_slices_cells(ports: object, endpoints: object, expected: list[str]) -> None:
    """All its addresses, whether they are ready or not."""
    document = {"metadata": {}, "addressType": "IPv6", "ports": ports, "endpoints": endpoints}
    assert cells(ENDPOINTSLICES, document, NOW) == ["", "IPv6", *expected, "<unknown>"]


def test_other_resources_are_shown_too() -> None:
    """The embedded cluster has them."""
    document = {"metadata": {"name": "a"}, "status": {"phase": "Active"}}
    assert cells(NAMESPACES, document, NOW) == ["a", "Active", "<unknown>"]
    assert cells(EVENTS, document, NOW) == ["a", "<unknown>"]


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (SERVICES, ["", "", "<none>", "<unknown>", "<none>", "<unknown>", "<none>"]),
        (ENDPOINTS, ["", "<none>", "<unknown>"]),
        (ENDPOINTSLICES, ["", "", "<unset>", "<unset>", "<unknown>"]),
    ],
)
def test_a_bookmark_is_a_row_of_nothing(resource: Resource, expected: list[str]) -> None:
    """Its version is where any object's is."""
    bookmark = orjson.loads(encode_bookmark(resource, 7))["object"]
    shown = bookmark_row(resource, bookmark)
    assert shown["cells"] == expected
    assert shown["object"]["metadata"]["resourceVersion"] == "7"


@given(
    st.sampled_from([SERVICES, ENDPOINTS, ENDPOINTSLICES, NAMESPACES, EVENTS]),
    st.sampled_from(["metadata", "spec", "status", "subsets", "ports", "endpoints"]),
    kube.json_values,
)
def test_no_object_is_beyond_printing(resource: Resource, member: str, value: Any) -> None:
    """A stranger's object gets a cell for every column."""
    for document in ({member: value}, {member: [value]}, {member: {"ports": value}}):
        shown = row(resource, document, NOW)
        assert len(shown["cells"]) == len(columns_of(resource))
        assert all(isinstance(cell, str) for cell in shown["cells"])


@given(st.text(max_size=22) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fullmatch=True))
def test_no_timestamp_is_beyond_printing(timestamp: str) -> None:
    assert cells(EVENTS, {"metadata": {"creationTimestamp": timestamp}}, NOW)[1]


# A real kube-apiserver

TRANSFORM = "application/json;as={};v={};g=meta.k8s.io"

#: Services of every type; the last part is its status.
SERVICES_MADE: list[tuple[str, Json, Json]] = [
    ("plain", {"ports": [{"port": 80}], "selector": {"b": "1", "a": "2"}}, {}),
    ("external", {"ports": [{"port": 80}], "externalIPs": ["9.9.9.9", "8.8.8.8"]}, {}),
    ("headless", {"clusterIP": "None"}, {}),
    (
        "two-ports",
        {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]},
        {},
    ),
    ("node", {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}, {}),
    ("pending", {"type": "LoadBalancer", "ports": [{"port": 80}]}, {}),
    (
        "balanced",
        {"type": "LoadBalancer", "ports": [{"port": 80}], "externalIPs": ["9.9.9.8"]},
        {
            "loadBalancer": {
                "ingress": [{"ip": "7.7.7.7"}, {"hostname": "x.example.org"}, {"ip": "6.6.6.6"}]
            }
        },
    ),
    ("named", {"type": "ExternalName", "externalName": "x.example.org"}, {}),
]

READY = addresses(*(f"10.1.0.{n}" for n in range(1, 8)))

ENDPOINTS_MADE: list[tuple[str, Any]] = [
    ("none", None),
    ("one", [{"addresses": READY[:1], "ports": [{"port": 80}]}]),
    ("three", [{"addresses": READY[:3], "ports": [{"port": 80}]}]),
    (
        "many",
        [
            {"addresses": READY, "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
            {"addresses": READY[:2], "ports": [{"name": "c", "port": 3}]},
        ],
    ),
    ("no-ports", [{"addresses": READY[:2]}]),
    ("unready", [{"notReadyAddresses": READY, "ports": [{"port": 80}]}]),
    ("v6", [{"addresses": addresses("fd00::1", "fd00::2"), "ports": [{"port": 80}]}]),
]

SLICES_MADE: list[tuple[str, Json]] = [
    ("empty", {"addressType": "IPv4", "endpoints": [], "ports": []}),
    (
        "some",
        {
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [f"10.1.0.{n}"], "conditions": {"ready": n % 2 == 0}}
                for n in range(1, 6)
            ],
            "ports": [{"name": name, "port": n + 1} for n, name in enumerate("abcd")],
        },
    ),
    (
        "v6",
        {
            "addressType": "IPv6",
            "endpoints": [{"addresses": ["fd00::1"]}],
            "ports": [{"name": "x"}],
        },
    ),
    ("any-port", {"addressType": "IPv4", "endpoints": [], "ports": [{}]}),
]


class Real:
    """A real API with all of the above in it."""

    def __init__(self, server: ApiServer) -> None:
        url = urlsplit(server.url)
        context = ssl.create_default_context(cafile=server.ca_file)
        self._connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, context=context, timeout=30
        )
        self._token = server.admin_token
        self.minor = int(server.version().split(".")[1])
        self.slices = ENDPOINTSLICES
        if self.minor < 21:
            self.slices = Resource(
                "discovery.k8s.io", "v1beta1", "endpointslices", "endpointslice", "EndpointSlice"
            )

    def ask(
        self, path: str, accept: str = "application/json", method: str = "GET", body: Any = None
    ) -> Json:
        headers = {
            "Accept": accept,
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else accept,
            "User-Agent": "tests",
        }
        sent = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, sent, headers)
        answer = self._connection.getresponse()
        document: Json = orjson.loads(answer.read())
        assert answer.status < 300, document
        return document

    def make(self, resource: Resource, name: str, **members: Any) -> None:
        document = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": {"name": name, "labels": {"made": "yes"}},
            **members,
        }
        self.ask(resource.path("default"), method="POST", body=document)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def real(envtest_binaries: Binaries) -> Iterator[Real]:
    with ApiServer(binaries=envtest_binaries) as server:
        made = Real(server)
        for name, spec, status in SERVICES_MADE:
            made.make(SERVICES, name, spec=spec)
            if status:
                path = SERVICES.path("default", name) + "/status"
                made.ask(path, method="PATCH", body={"status": status})
        for name, subsets in ENDPOINTS_MADE:
            made.make(ENDPOINTS, name, subsets=subsets)
        for name, members in SLICES_MADE:
            made.make(made.slices, name, **members)
        yield made
        made.close()


def resources_of(real: Real) -> list[Resource]:
    return [SERVICES, ENDPOINTS, real.slices, NAMESPACES]


def at_any_second(ask: Callable[[], Json], ours: Callable[[float], Json]) -> None:
    """What the server said is what we say at some second while it was asked."""
    began = int(time.time())
    theirs = ask()
    told = [ours(now) for now in range(began, int(time.time()) + 2)]
    assert theirs in told


def bare(columns: Any, minor: int) -> Any:
    """The descriptions are those of 1.20; other versions word some of them otherwise."""
    if minor == 20 or columns is None:
        return columns and list(columns)
    return [{**column, "description": ""} for column in columns]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("include", ["Metadata", "Object", "None"])
def test_tables_of_lists_are_the_real_servers(real: Real, include: str, version: str) -> None:
    """Columns, cells, objects and list metadata."""
    for resource in resources_of(real):
        listed = real.ask(resource.path())

        def ask(path: str = f"{resource.path()}?includeObject={include}") -> Json:
            answer = real.ask(path, TRANSFORM.format("Table", version))
            return {**answer, "columnDefinitions": bare(answer["columnDefinitions"], real.minor)}

        def ours(now: float, resource: Resource = resource, listed: Json = listed) -> Json:
            rows = [
                row(resource, item, now, include_object=include, version=version)
                for item in listed["items"]
            ]
            columns = bare(columns_of(resource), real.minor)
            return table(rows, listed["metadata"], columns, version=version)

        at_any_second(ask, ours)


def test_a_table_of_one_object_is_the_real_servers(real: Real) -> None:
    """Its resourceVersion is the object's."""
    path = SERVICES.path("default", "plain")
    document = real.ask(path)
    metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}

    def ask() -> Json:
        return {**real.ask(path, TRANSFORM.format("Table", "v1")), "columnDefinitions": None}

    at_any_second(ask, lambda now: table([row(SERVICES, document, now)], metadata, None))


def test_pages_of_tables_go_on_as_pages_of_lists(real: Real) -> None:
    """``continue`` and ``remainingItemCount``."""
    path = f"{SERVICES.path()}?limit=2"
    shown = real.ask(path, TRANSFORM.format("Table", "v1"))
    assert shown["metadata"] == real.ask(path)["metadata"]
    assert shown["metadata"].keys() >= {"continue", "remainingItemCount"}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_metadata_is_the_real_servers(real: Real, version: str) -> None:
    """Of lists, of empty lists, and of one object."""
    accept = TRANSFORM.format("PartialObjectMetadataList", version)
    for resource, query in itertools.product(resources_of(real), ("", "?labelSelector=no")):
        listed = real.ask(resource.path() + query)
        told = partial_list(listed["items"], listed["metadata"], version=version)
        assert real.ask(resource.path() + query, accept) == told
    path = SERVICES.path("default", "plain")
    accept = TRANSFORM.format("PartialObjectMetadata", version)
    assert real.ask(path, accept) == partial_object(real.ask(path), version=version)
