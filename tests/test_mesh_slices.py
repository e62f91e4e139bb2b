"""EndpointSlices through the program, in meshes of in-memory clusters."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from servicereflector.embedded.api import VERSION
from servicereflector.emitter.api import ReadApi, every
from servicereflector.emitter.collection import Served
from servicereflector.kube import resources
from servicereflector.kube.annotations import SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.server import ServerInfo
from servicereflector.kube.slices import (
    HEADLESS,
    MANAGED_BY,
    MANAGER,
    SERVICE_NAME,
    SKIP_MIRROR,
    flatten_slices,
)
from servicereflector.kube.status import ApiError, invalid
from servicereflector.kube.subsets import flatten
from servicereflector.mirror.policy import EndpointsApi, Policy
from servicereflector.mirror.states import State, Status
from servicereflector.program import Roles
from servicereflector.reflector.controller import HOLD, STARTING
from servicereflector.testing.clusters import MemoryCluster, Mesh, Node, endpoints, service

KEY = "shop/cart"
READY = {"ready": True, "serving": True, "terminating": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}

WITHOUT_SLICES = (NAMESPACES, SERVICES, ENDPOINTS, resources.EVENTS)


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def ready(address: str, **members: Any) -> Json:
    return {"addresses": [address], "conditions": READY, **members}


def slice_of(key: str, name: str, *found: Json, family: str = "IPv4") -> Json:
    """A slice of the Service, as the EndpointSlice controller makes them."""
    namespace, service_name = key.split("/")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {
                SERVICE_NAME: service_name,
                MANAGED_BY: "endpointslice-controller.k8s.io",
            },
        },
        "addressType": family,
        "endpoints": list(found),
        "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
    }


def export(cluster: MemoryCluster, *ips: str, key: str = KEY, **spec: Any) -> None:
    """A Service with Endpoints and a slice, as a cluster has it."""
    ips = ips or ("10.9.0.1",)
    cluster.put(SERVICES, service(key, **spec))
    cluster.put(ENDPOINTS, endpoints(key, ips))
    cluster.put(ENDPOINTSLICES, slice_of(key, f"{key.split('/')[1]}-abc", *map(ready, ips)))


def join(mesh: Mesh, *sources: str, cluster: MemoryCluster | None = None, **policy: Any) -> Node:
    """west, that mirrors the sources; past the Emitters' first moments."""
    roles = Roles(emitted=LabelSelector(), reflected=LabelSelector(), policy=Policy(**policy))
    west = mesh.join("west", sources, roles=roles, cluster=cluster)
    mesh.advance(2)
    return west


def pair(mesh: Mesh, **policy: Any) -> tuple[Node, Node]:
    """east, and west that mirrors it."""
    east = mesh.join("east")
    return east, join(mesh, "east", **policy)


def slices(cluster: MemoryCluster, key: str = KEY) -> list[Json]:
    """Those of the Service, in the order of their names."""
    found = [cluster.get(ENDPOINTSLICES, name) for name in cluster.keys(ENDPOINTSLICES)]
    wanted = tuple(key.split("/"))
    return [
        one
        for one in found
        if one is not None
        and (one["metadata"]["namespace"], one["metadata"]["labels"].get(SERVICE_NAME)) == wanted
    ]


def sliced(cluster: MemoryCluster, key: str = KEY) -> set[str]:
    """The addresses that are ready by the slices."""
    return {e[0] for e in flatten_slices(slices(cluster, key)) if e[2].ready}


def ips(cluster: MemoryCluster, key: str = KEY) -> set[str]:
    """The addresses of the Endpoints."""
    found = cluster.get(ENDPOINTS, key)
    assert found is not None, f"no Endpoints {key} in {cluster.name}"
    return {address.ip for address, _ in flatten(found.get("subsets"))}


def status(node: Node, source: str = "east", key: str = KEY) -> Status | None:
    assert node.program is not None
    assert node.program.controller is not None
    return node.program.controller.statuses.get(key, {}).get(source)


def state(node: Node, source: str = "east", key: str = KEY) -> State | None:
    told = status(node, source, key)
    return None if told is None else told.state


def writes(node: Node) -> dict[tuple[str, str], int]:
    assert node.program is not None
    assert node.program.controller is not None
    return dict(node.program.controller.stats.writes)


class Front(Resource):
    """What stands before an API, as an authorizer or an admission webhook does.

    :param refuse: the error to answer a request with, by its method, path and body.
    """

    isLeaf = True

    def __init__(self, api: IResource, refuse: Callable[[str, str, Json], ApiError | None]) -> None:
        super().__init__()
        self._api = api
        self._refuse = refuse
        self.refused = 0

    def render(self, request: Request) -> Any:
        assert request.content is not None
        body = request.content.read()
        request.content = io.BytesIO(body)
        document = orjson.loads(body) if body else {}
        error = self._refuse(request.method.decode(), request.path.decode(), document)
        if error is None:
            return self._api.render(request)
        self.refused += 1
        request.setResponseCode(error.code)
        request.setHeader(b"Content-Type", b"application/json")
        return orjson.dumps(error.body())


def before(cluster: MemoryCluster, refuse: Callable[[str, str, Json], ApiError | None]) -> Front:
    """Put a front before the cluster's API; connections are cut by it."""
    front = Front(cluster.api.app.resource(), refuse)
    cluster.server = cluster.network.serve(cluster.name, front)
    return front


def reading(cluster: MemoryCluster, *served: resources.Resource) -> IResource:
    """An API that serves some of the cluster's resources, for reading."""
    stores = [Served(cluster.model.stores[resource], every) for resource in served]
    api = ReadApi(cluster.network.clock, stores, server=lambda: ServerInfo(VERSION))
    found: IResource = api.app.resource()
    return found


# What a mirror has.


def test_a_mirror_has_endpoints_and_slices(mesh: Mesh) -> None:
    """As a Service of the host's own has; whoever reads either finds the same."""
    east, west = pair(mesh)
    export(east.cluster, "10.9.0.1", "10.9.0.2")
    mesh.settle()
    assert ips(west.cluster) == sliced(west.cluster) == {"10.9.0.1", "10.9.0.2"}
    (mirror,) = slices(west.cluster)
    labels = mirror["metadata"]["labels"]
    assert (labels[MANAGED_BY], labels[SOURCE]) == (MANAGER, "east")
    found = west.cluster.get(ENDPOINTS, KEY)
    assert found is not None
    assert found["metadata"]["labels"][SKIP_MIRROR] == "true"


def test_conditions_hostnames_and_zones_are_mirrored(mesh: Mesh) -> None:
    """A Pod that leaves is still served where nobody else is."""
    east, west = pair(mesh)
    cluster = east.cluster
    export(cluster)
    leaving = {"addresses": ["10.9.0.2"], "conditions": LEAVING, "zone": "a", "nodeName": "n1"}
    cluster.put(ENDPOINTSLICES, slice_of(KEY, "cart-xyz", leaving))
    mesh.settle()
    assert flatten_slices(slices(west.cluster)) == flatten_slices(slices(cluster))
    assert ips(west.cluster) == {"10.9.0.1", "10.9.0.2"} - {"10.9.0.2"}


def test_the_change_of_one_address_is_one_write_of_a_slice(mesh: Mesh) -> None:
    """However many slices there are."""
    east, west = pair(mesh, endpoints_api=EndpointsApi.ENDPOINTSLICES)
    east.cluster.put(SERVICES, service(KEY))
    for number in range(20):
        found = [ready(f"10.9.{number}.{n}") for n in range(100)]
        east.cluster.put(ENDPOINTSLICES, slice_of(KEY, f"cart-{number}", *found))
    mesh.advance(2)
    assert len(sliced(west.cluster)) == 2000
    before_it = writes(west)
    found = [ready(f"10.9.7.{n}") for n in range(1, 101)]
    east.cluster.put(ENDPOINTSLICES, slice_of(KEY, "cart-7", *found))
    mesh.advance(2)
    assert "10.9.7.100" in sliced(west.cluster)
    key = ("update", "endpointslices")
    assert writes(west) == {**before_it, key: before_it.get(key, 0) + 1}


def test_a_statefulset_keeps_its_hostnames(mesh: Mesh) -> None:
    """``pod-0.cart`` resolves by them."""
    east, west = pair(mesh)
    export(east.cluster, clusterIP="None")
    pods = [ready(f"10.9.0.{n}", hostname=f"pod-{n}") for n in range(3)]
    east.cluster.put(ENDPOINTSLICES, slice_of(KEY, "cart-abc", *pods))
    mesh.settle()
    (mirror,) = slices(west.cluster)
    assert HEADLESS in mirror["metadata"]["labels"]
    assert [e["hostname"] for e in mirror["endpoints"]] == ["pod-0", "pod-1", "pod-2"]
    found = west.cluster.get(ENDPOINTS, KEY)
    assert found is not None
    assert [a["hostname"] for a in found["subsets"][0]["addresses"]] == ["pod-0", "pod-1", "pod-2"]


DUAL = "10.96.0.0/16,fd00:96::/112"


def dual_stack(mesh: Mesh, east: str, west: str) -> tuple[Node, Node]:
    """As pair(), with the clusters' Service ranges; east has a Service of both families if it can,
    and slices of both."""
    one = mesh.join("east", cluster=MemoryCluster("east", mesh.network, service_range=east))
    two = join(mesh, "east", cluster=MemoryCluster("west", mesh.network, service_range=west))
    export(one.cluster, "10.9.0.1", ipFamilyPolicy="PreferDualStack")
    six = slice_of(KEY, "cart-six", ready("fd00:9::1"), family="IPv6")
    one.cluster.put(ENDPOINTSLICES, six)
    mesh.advance(20)
    return one, two


def families(node: Node) -> tuple[str, list[str]]:
    """The mirror's policy and families."""
    mirror = node.cluster.get(SERVICES, KEY)
    assert mirror is not None
    return mirror["spec"]["ipFamilyPolicy"], mirror["spec"]["ipFamilies"]


def test_both_families_are_mirrored_where_both_clusters_have_them(mesh: Mesh) -> None:
    """Endpoints know but the first."""
    _, west = dual_stack(mesh, DUAL, DUAL)
    assert families(west) == ("PreferDualStack", ["IPv4", "IPv6"])
    assert sliced(west.cluster) == {"10.9.0.1", "fd00:9::1"}
    assert ips(west.cluster) == {"10.9.0.1"}


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [("10.97.0.0/16", "IPv4", "10.9.0.1"), ("fd00:97::/112", "IPv6", "fd00:9::1")],
)
def test_a_host_of_one_family_gets_that_one(
    mesh: Mesh, host: str, family: str, address: str
) -> None:
    """Whichever the source begins with; nothing is written again and again for it."""
    _, west = dual_stack(mesh, DUAL, host)
    assert families(west)[1] == [family]
    assert sliced(west.cluster) == ips(west.cluster) == {address}
    assert state(west) is State.MIRRORED
    west.restart()
    mesh.advance(90)
    assert writes(west) == {}


def test_a_dual_stack_host_mirrors_a_source_of_one_family(mesh: Mesh) -> None:
    """The mirror has the source's family, and leads nowhere that the source does not."""
    east, west = dual_stack(mesh, "10.98.0.0/16", DUAL)
    east.cluster.delete(ENDPOINTSLICES, "shop/cart-six")
    mesh.advance(2)
    assert families(west)[1][0] == "IPv4"
    assert sliced(west.cluster) == ips(west.cluster) == {"10.9.0.1"}
    assert state(west) is State.MIRRORED


@pytest.mark.parametrize("api", EndpointsApi)
def test_addresses_are_written_where_the_flag_says(mesh: Mesh, api: EndpointsApi) -> None:
    """And nowhere else; also after the flag has changed."""
    east, west = pair(mesh)
    export(east.cluster)
    mesh.settle()
    west.stop()
    west = join(mesh, "east", cluster=west.cluster, endpoints_api=api)
    mesh.advance(2)
    has_slices = api is not EndpointsApi.ENDPOINTS
    has_endpoints = api is not EndpointsApi.ENDPOINTSLICES
    assert sliced(west.cluster) == ({"10.9.0.1"} if has_slices else set())
    assert (west.cluster.get(ENDPOINTS, KEY) is not None) == has_endpoints
    if has_endpoints:
        found = west.cluster.get(ENDPOINTS, KEY)
        assert found is not None
        assert (SKIP_MIRROR in found["metadata"].get("labels", {})) == has_slices


def test_an_external_name_is_refused_where_the_flag_says_so(mesh: Mesh) -> None:
    """And a mirror of it is withdrawn."""
    east, west = pair(mesh)
    east.cluster.put(SERVICES, service(KEY, type="ExternalName", externalName="a.example"))
    mesh.settle()
    assert west.cluster.get(SERVICES, KEY) is not None
    west.stop()
    west = join(mesh, "east", cluster=west.cluster, external_names=False)
    mesh.advance(15)
    assert west.cluster.get(SERVICES, KEY) is None
    assert state(west) is State.REFUSED


# Where it comes from.


def test_a_source_without_slices_is_read_by_its_endpoints(mesh: Mesh) -> None:
    """The mirror has slices all the same: the host's readers want them."""
    mesh.join("east", cluster=MemoryCluster("east", mesh.network, resources=WITHOUT_SLICES))
    west = join(mesh, "east")
    east = mesh["east"].cluster
    east.put(SERVICES, service(KEY))
    east.put(ENDPOINTS, endpoints(KEY, ["10.9.0.1"]))
    mesh.settle()
    assert ips(west.cluster) == sliced(west.cluster) == {"10.9.0.1"}


def test_a_source_that_learns_slices_moves_up_and_falls_back_without_a_gap(mesh: Mesh) -> None:
    """Upgraded and rolled back while the Reflector runs."""
    east = MemoryCluster("east", mesh.network)
    addresses = {f"10.9.0.{n}" for n in range(1, 30)}
    export(east, *sorted(addresses))
    serve = mesh.network.serve
    serve("east.emitter", reading(east, SERVICES, ENDPOINTS))
    west = join(mesh, "east")
    first = slices(west.cluster)
    assert sliced(west.cluster) == addresses
    seen: list[set[str]] = []
    store = west.cluster.model.stores[ENDPOINTSLICES]
    store.subscribe(lambda _keys: seen.append(sliced(west.cluster)))
    serve("east.emitter", reading(east, SERVICES, ENDPOINTS, ENDPOINTSLICES))
    mesh.advance(61)
    second = slices(west.cluster)
    assert first != second
    # Not in the Endpoints: it can only come from slices.
    addresses.add("10.9.9.9")
    east.put(ENDPOINTSLICES, slice_of(KEY, "cart-more", ready("10.9.9.9")))
    mesh.advance(1)
    assert sliced(west.cluster) == addresses
    addresses.discard("10.9.9.9")
    serve("east.emitter", reading(east, SERVICES, ENDPOINTS))
    mesh.advance(90)
    assert sliced(west.cluster) == addresses
    assert slices(west.cluster)[0]["metadata"]["name"] == first[0]["metadata"]["name"]
    assert all(addresses <= found for found in seen)


def test_a_restart_writes_nothing(mesh: Mesh) -> None:
    """Though Services and Endpoints may be listed long before the slices are."""
    east, west = pair(mesh)
    export(east.cluster)
    export(east.cluster, key="shop/pay", clusterIP="None")
    mesh.advance(5)
    assert sliced(west.cluster) == {"10.9.0.1"}
    west.restart()
    mesh.advance(90)
    assert writes(west) == {}


def test_a_restarted_emitter_does_not_look_like_one_without_slices(mesh: Mesh) -> None:
    """It knows its Services before it knows what else its cluster serves."""
    east, west = pair(mesh)
    export(east.cluster)
    mesh.settle()
    before_it = writes(west)
    east.stop()
    front = before(
        east.cluster, lambda _m, path, _b: ApiError(500, "no") if path == "/version" else None
    )
    east.start()
    mesh.advance(30)
    assert front.refused
    before(east.cluster, lambda *_: None)
    mesh.advance(100)
    assert writes(west) == before_it


def test_another_source_takes_over_with_its_slices(mesh: Mesh) -> None:
    """None of the first one's stays, nor is the name without an address meanwhile."""
    one, two = mesh.join("one"), mesh.join("two")
    export(one.cluster, "10.9.1.1")
    export(two.cluster, "10.9.2.1")
    mesh.advance(2)
    west = join(mesh, "one", "two")
    assert sliced(west.cluster) == {"10.9.1.1"}
    seen: list[set[str]] = []
    store = west.cluster.model.stores[ENDPOINTSLICES]
    store.subscribe(lambda _keys: seen.append(sliced(west.cluster)))
    one.cluster.delete(SERVICES, KEY)
    mesh.settle()
    assert sliced(west.cluster) == ips(west.cluster) == {"10.9.2.1"}
    assert all(seen)


# What the host does not take.


def rbac(verb: str) -> ApiError:
    return ApiError(
        403,
        f'endpointslices.discovery.k8s.io is forbidden: User "u" cannot {verb} resource'
        ' "endpointslices" in API group "discovery.k8s.io" in the namespace "shop"',
    )


def test_a_role_that_lets_us_write_no_slices_leaves_endpoints(mesh: Mesh) -> None:
    """As that of older versions; and once it does, the slices come without a restart."""
    allowed: list[bool] = []

    def authorizer(method: str, path: str, _body: Json) -> ApiError | None:
        writes_slices = method != "GET" and "/endpointslices" in path
        return rbac("create") if writes_slices and not allowed else None

    cluster = MemoryCluster("west", mesh.network)
    front = before(cluster, authorizer)
    east = mesh.join("east")
    west = join(mesh, "east", cluster=cluster)
    for name in "abc":
        export(east.cluster, key=f"shop/{name}")
    mesh.advance(60)
    found = cluster.get(ENDPOINTS, "shop/a")
    assert found is not None
    assert SKIP_MIRROR not in found["metadata"].get("labels", {})
    assert [state(west, key=f"shop/{name}") for name in "abc"] == [State.MIRRORED] * 3
    assert front.refused <= 3
    allowed.append(True)
    mesh.advance(HOLD)
    assert sliced(cluster, "shop/a") == {"10.9.0.1"}


def test_a_role_that_lets_us_list_no_slices_leaves_endpoints(mesh: Mesh) -> None:
    """The host's slices are not waited for then."""
    allowed: list[bool] = []

    def authorizer(method: str, path: str, _body: Json) -> ApiError | None:
        lists = method == "GET" and path.endswith("/v1/endpointslices")
        return rbac("list") if lists and not allowed else None

    cluster = MemoryCluster("west", mesh.network)
    before(cluster, authorizer)
    east = mesh.join("east")
    west = join(mesh, "east", cluster=cluster)
    export(east.cluster)
    mesh.advance(5)
    assert (ips(cluster), slices(cluster), state(west)) == ({"10.9.0.1"}, [], State.MIRRORED)
    allowed.append(True)
    mesh.advance(60)
    assert sliced(cluster) == {"10.9.0.1"}


def test_a_host_without_slices_has_endpoints(mesh: Mesh) -> None:
    """The addresses come from the source's slices, where it has them."""
    east = mesh.join("east")
    cluster = MemoryCluster("west", mesh.network, resources=WITHOUT_SLICES)
    join(mesh, "east", cluster=cluster)
    export(east.cluster)
    east.cluster.put(ENDPOINTSLICES, slice_of(KEY, "cart-more", ready("10.9.9.9")))
    mesh.advance(2)
    assert ips(cluster) == {"10.9.0.1", "10.9.9.9"}


def test_an_optional_field_that_the_host_refuses_is_left_out(mesh: Mesh) -> None:
    """It is tried once for the whole host, not once for each Service, and the status tells why."""

    def admission(_method: str, _path: str, body: Json) -> ApiError | None:
        if "trafficDistribution" not in (body.get("spec") or {}):
            return None
        cause = ("spec.trafficDistribution", "FieldValueForbidden", "it is turned off")
        return invalid("Service", "cart", cause)

    cluster = MemoryCluster("west", mesh.network)
    front = before(cluster, admission)
    east = mesh.join("east")
    west = join(mesh, "east", cluster=cluster)
    for name in ("a", "b", "c"):
        key = f"shop/{name}"
        export(east.cluster, key=key, trafficDistribution="PreferClose")
        mesh.advance(20)
        assert sliced(cluster, key) == {"10.9.0.1"}
        told = status(west, key=key)
        assert told is not None
        assert (told.state, "it is turned off" in told.reason) == (State.MIRRORED, True)
    assert front.refused == 1
    east.cluster.put(SERVICES, service("shop/a", trafficDistribution="PreferSameNode"))
    mesh.advance(20)
    assert front.refused == 2


def test_what_cannot_be_left_out_waits_for_a_change(mesh: Mesh) -> None:
    """It is not tried again and again; but at once when the source has changed it."""

    def admission(_method: str, _path: str, body: Json) -> ApiError | None:
        ports = (body.get("spec") or {}).get("ports") or [{}]
        if ports[0].get("port") != 81:
            return None
        return invalid("Service", "cart", ("spec.ports[0].port", "FieldValueInvalid", "not 81"))

    cluster = MemoryCluster("west", mesh.network)
    front = before(cluster, admission)
    east = mesh.join("east")
    west = join(mesh, "east", cluster=cluster)
    mesh.advance(STARTING)
    export(east.cluster, ports=[81])
    mesh.advance(2)
    tried = front.refused  # once for each object that came
    assert 0 < tried <= 3
    mesh.advance(HOLD - 5)
    assert (state(west), front.refused) == (State.REJECTED, tried)
    mesh.advance(5)
    assert front.refused == tried + 1
    export(east.cluster, ports=[82])
    mesh.settle()
    assert state(west) is State.MIRRORED


def test_a_change_that_the_host_takes_only_anew_is_made_anew(mesh: Mesh) -> None:
    """Once: a host that refuses the new one as well is not asked without end."""

    def admission(method: str, _path: str, body: Json) -> ApiError | None:
        if method != "PUT" or (body.get("spec") or {}).get("sessionAffinity") != "ClientIP":
            return None
        return invalid("Service", "cart", ("spec.type", "FieldValueInvalid", "field is immutable"))

    cluster = MemoryCluster("west", mesh.network)
    front = before(cluster, admission)
    east = mesh.join("east")
    west = join(mesh, "east", cluster=cluster)
    export(east.cluster)
    mesh.advance(2)
    mirror = cluster.get(SERVICES, KEY)
    assert mirror is not None
    east.cluster.put(SERVICES, service(KEY, sessionAffinity="ClientIP"))
    mesh.advance(20)
    anew = cluster.get(SERVICES, KEY)
    assert anew is not None
    assert anew["spec"]["sessionAffinity"] == "ClientIP"
    assert anew["metadata"]["uid"] != mirror["metadata"]["uid"]
    assert anew["spec"]["clusterIP"] == mirror["spec"]["clusterIP"]
    assert (sliced(cluster), ips(cluster)) == ({"10.9.0.1"}, {"10.9.0.1"})
    assert (front.refused, state(west)) == (1, State.MIRRORED)


@pytest.mark.parametrize(
    ("first", "then"), [({}, {"clusterIP": "None"}), ({"clusterIP": "None"}, {})]
)
def test_headless_comes_and_goes_by_a_new_service(mesh: Mesh, first: Json, then: Json) -> None:
    """The API lets no clusterIP come or go."""
    east, west = pair(mesh)
    export(east.cluster, **first)
    mesh.advance(2)
    east.cluster.delete(SERVICES, KEY)
    east.cluster.put(SERVICES, service(KEY, **then))
    east.cluster.put(ENDPOINTS, endpoints(KEY, ["10.9.0.1"]))
    mesh.advance(10)
    mirror = west.cluster.get(SERVICES, KEY)
    assert mirror is not None
    assert (mirror["spec"]["clusterIP"] == "None") == bool(then)
    assert ips(west.cluster) == sliced(west.cluster) == {"10.9.0.1"}
    (mirrored,) = slices(west.cluster)
    assert (HEADLESS in mirrored["metadata"]["labels"]) == bool(then)


def test_nothing_is_left_of_a_deleted_service(mesh: Mesh) -> None:
    """Slices that name a Service of our name are somebody else's business."""
    east, west = pair(mesh)
    export(east.cluster)
    west.cluster.put(ENDPOINTSLICES, slice_of("shop/other", "other-abc", ready("10.1.1.1")))
    mesh.settle()
    assert len(west.cluster.keys(ENDPOINTSLICES)) == 2
    east.cluster.delete(SERVICES, KEY)
    mesh.advance(20)
    assert west.cluster.get(SERVICES, KEY) is None
    assert west.cluster.get(ENDPOINTS, KEY) is None
    assert west.cluster.keys(ENDPOINTSLICES) == ["shop/other-abc"]


def test_slices_that_somebody_deletes_or_changes_are_put_right(mesh: Mesh) -> None:
    """They are as much a part of the mirror as the Endpoints."""
    east, west = pair(mesh)
    export(east.cluster)
    mesh.settle()
    (mirror,) = slices(west.cluster)
    west.cluster.delete(ENDPOINTSLICES, f"shop/{mirror['metadata']['name']}")
    mesh.advance(1)
    (mirror,) = slices(west.cluster)
    west.cluster.put(ENDPOINTSLICES, {**mirror, "endpoints": []})
    mesh.advance(1)
    assert sliced(west.cluster) == {"10.9.0.1"}
