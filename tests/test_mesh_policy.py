"""Sources that come, go and fall silent, and what the operator decides, in meshes in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicereflector.kube.annotations import ORIGIN, REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    NAMESPACES,
    SERVICES,
)
from servicereflector.kube.selectors import LabelSelector
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.freshness import Patience
from servicereflector.mirror.naming import Naming
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import State
from servicereflector.program import Roles
from servicereflector.reflector.controller import STARTING, Controller
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

KEY = "shop/cart"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def roles(**policy: object) -> Roles:
    everything = LabelSelector()
    return Roles(emitted=everything, reflected=everything, policy=Policy(**policy))  # type: ignore[arg-type]


def export(node: Node, key: str = KEY, *ips: str, **rest: object) -> None:
    node.cluster.put(SERVICES, service(key, **rest))  # type: ignore[arg-type]
    node.cluster.put(ENDPOINTS, endpoints(key, ips or ("10.9.0.1",)))


def withdraw(node: Node, key: str = KEY) -> None:
    node.cluster.delete(SERVICES, key)
    if node.cluster.get(ENDPOINTS, key) is not None:
        node.cluster.delete(ENDPOINTS, key)


def mirror(node: Node, key: str = KEY) -> Json:
    found = node.cluster.get(SERVICES, key)
    assert found is not None, f"{key} is not in {node.cluster.name}"
    return found


def source_of(node: Node, key: str = KEY) -> str:
    name: str = mirror(node, key)["metadata"]["annotations"][SOURCE]
    return name


def controller(node: Node) -> Controller:
    assert node.program is not None
    assert node.program.controller is not None
    return node.program.controller


def state(node: Node, source: str, key: str = KEY) -> State | None:
    status = controller(node).statuses.get(key, {}).get(source)
    return None if status is None else status.state


def addresses(node: Node, key: str = KEY) -> tuple[set[str], set[str]]:
    """The ready and the other ones, by the Endpoints; the slices must say the same."""
    told: tuple[set[str], set[str]] = (set(), set())
    found = node.cluster.get(ENDPOINTS, key)
    assert found is not None
    for subset in found.get("subsets") or ():
        for index, member in enumerate(("addresses", "notReadyAddresses")):
            told[index].update(address["ip"] for address in subset.get(member) or ())
    ready: set[str] = set()
    for record in node.cluster.model.stores[ENDPOINTSLICES]:
        document = record.document()
        if document["metadata"]["labels"]["kubernetes.io/service-name"] == key.split("/")[1]:
            for endpoint in document["endpoints"] or ():
                if endpoint["conditions"]["ready"]:
                    ready.update(endpoint["addresses"])
    assert ready == told[0]
    return told


def events(node: Node, reason: str) -> list[Json]:
    documents = (record.document() for record in node.cluster.model.stores[EVENTS])
    return [document for document in documents if document["reason"] == reason]


# Sources come and go


def test_a_source_that_comes_later_is_mirrored(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west")
    export(east)
    mesh.advance(2)
    assert west.cluster.get(SERVICES, KEY) is None
    west.use_sources("east")
    mesh.advance(2)
    assert source_of(west) == "east"
    assert addresses(west) == ({"10.9.0.1"}, set())


def test_a_source_that_goes_leaves_orphans_and_no_connection(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east)
    mesh.advance(2)
    west.use_sources()
    mesh.advance(STARTING + 1)
    assert state(west, "east") is State.ORPHANED
    assert east.emitter is not None
    assert east.emitter.connections == 0
    assert west.program is not None
    assert {informer.source for informer in west.program.informers} == {"host"}
    withdraw(east)
    mesh.advance(120)
    assert source_of(west) == "east"


def test_a_source_that_stays_keeps_its_watches_when_others_change(mesh: Mesh) -> None:
    mesh.join("east")
    mesh.join("north")
    west = mesh.join("west", ["east"])
    mesh.advance(2)
    assert west.program is not None
    before = list(west.program.informers)
    west.use_sources("north", "east")
    mesh.advance(2)
    assert set(before) <= set(west.program.informers)
    assert controller(west).sources == ("north", "east")


def test_pruning_a_source_that_goes_lets_others_have_its_names(mesh: Mesh) -> None:
    """The ClusterIP stays, though the other source was not listed when the first went."""
    east, north = mesh.join("east"), mesh.join("north")
    west = mesh.join("west", ["east"], roles=roles(prune=True))
    for node in (east, north):
        export(node)
    export(east, "shop/only")
    mesh.advance(2)
    before = mirror(west)
    west.use_sources("north")
    mesh.advance(2)
    after = mirror(west)
    assert source_of(west) == "north"
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    mesh.advance(STARTING)
    assert west.cluster.get(SERVICES, "shop/only") is None


def test_forgetting_a_source_deletes_its_mirrors_once(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east)
    mesh.advance(2)
    with pytest.raises(ValueError, match="'east' is configured"):
        controller(west).forget("east")
    west.use_sources()
    mesh.advance(STARTING + 1)
    assert controller(west).forget("east") == 1
    mesh.advance(1)
    assert west.cluster.get(SERVICES, KEY) is None
    # Configured anew, it is no longer forgotten when it goes again.
    west.use_sources("east")
    mesh.advance(STARTING + 1)
    west.use_sources()
    mesh.advance(STARTING + 1)
    assert state(west, "east") is State.ORPHANED


def test_a_source_with_a_new_name_takes_over_the_mirrors_made_under_its_url(mesh: Mesh) -> None:
    """In place, and those that it no longer exports are deleted rather than orphaned."""
    url = "http://east.emitter"
    east = mesh.join("east")
    west = mesh.join("west", [("east", SourceSettings(url, url=url))])
    for key in (KEY, "shop/gone"):
        export(east, key)
    mesh.advance(2)
    before = mirror(west)
    assert source_of(west) == url
    west.stop()
    withdraw(east, "shop/gone")
    west._sources = (("east", SourceSettings("renamed", url=url)),)
    west.start()
    mesh.advance(STARTING + 2)
    after = mirror(west)
    assert source_of(west) == "renamed"
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert west.cluster.get(SERVICES, "shop/gone") is None
    assert events(west, "TakenOver") == []  # it is the same source


def test_a_takeover_is_told_beside_the_mirror(mesh: Mesh) -> None:
    east, north = mesh.join("east"), mesh.join("north")
    west = mesh.join("west", ["east", "north"])
    export(east)
    export(north)
    mesh.advance(STARTING)
    assert source_of(west) == "east"
    withdraw(east)
    mesh.advance(2)
    assert source_of(west) == "north"
    (event,) = events(west, "TakenOver")
    assert event["involvedObject"]["uid"] == mirror(west)["metadata"]["uid"]
    assert event["message"] == "taken over from source 'east' by 'north'"


# Who owns a name


@pytest.mark.parametrize(("late", "owner"), [(1.0, "east"), (STARTING + 3, "north")])
def test_the_order_decides_between_sources_that_start_together(
    mesh: Mesh, late: float, owner: str
) -> None:
    """Nobody waits for the first, which is given the name in place if it is not too late."""
    east, north = mesh.join("east"), mesh.join("north")
    for node in (east, north):
        export(node)
    mesh.advance(2)
    assert east.emitter is not None
    east.emitter.refuse()
    west = mesh.join("west", ["east", "north"])
    mesh.advance(late)
    assert source_of(west) == "north"
    before = mirror(west)
    east.emitter.refuse(False)
    mesh.advance(31)
    assert source_of(west) == owner
    assert mirror(west)["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_a_name_that_another_may_still_want_is_its_owners_meanwhile(mesh: Mesh) -> None:
    """Its silence does not move it, and that it stops exporting is a takeover as any other."""
    east, north = mesh.join("east"), mesh.join("north")
    for node in (east, north):
        export(node)
    mesh.advance(2)
    told = SourceSettings("east", patience=Patience(stale_after=4))
    west = mesh.join("west", ["nobody", ("east", told), "north"])
    mesh.advance(1)
    silence(east)
    mesh.advance(5)
    assert state(west, "east") is State.STALE
    silence(east, False)
    mesh.advance(1)
    withdraw(east)
    mesh.advance(1)
    assert source_of(west) == "north"
    assert len(events(west, "TakenOver")) == 1


# Silence


def silent_pair(mesh: Mesh, patience: Patience, *others: str) -> tuple[Node, Node]:
    east = mesh.join("east")
    export(east)
    for other in others:
        export(mesh.join(other))
    west = mesh.join("west", [("east", SourceSettings("east", patience=patience)), *others])
    mesh.advance(STARTING + 2)
    assert source_of(west) == "east"
    return east, west


def silence(node: Node, silent: bool = True) -> None:
    assert node.emitter is not None
    node.emitter.silence(silent)


def test_by_default_a_silent_source_changes_nothing(mesh: Mesh) -> None:
    east, west = silent_pair(mesh, Patience())
    silence(east)
    mesh.advance(3600)
    assert addresses(west) == ({"10.9.0.1"}, set())
    silence(east, False)
    mesh.advance(60)


def test_a_silent_source_is_stale_then_withdrawn_and_restored_at_once(mesh: Mesh) -> None:
    east, west = silent_pair(mesh, Patience(stale_after=60, remove_after=600))
    before = mirror(west)
    silence(east)
    mesh.advance(39)
    assert addresses(west) == ({"10.9.0.1"}, set())
    mesh.advance(22)
    assert addresses(west) == (set(), {"10.9.0.1"})
    assert state(west, "east") is State.STALE
    assert len(events(west, "Stale")) == 1
    mesh.advance(540)
    assert addresses(west) == (set(), set())
    assert state(west, "east") is State.WITHDRAWN
    silence(east, False)
    mesh.advance(31)  # the longest backoff
    assert addresses(west) == ({"10.9.0.1"}, set())
    assert state(west, "east") is State.MIRRORED
    assert mirror(west)["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_a_quiet_source_is_not_silent(mesh: Mesh) -> None:
    """Nothing changes there for an hour: the watch is opened anew often enough to be heard."""
    _, west = silent_pair(mesh, Patience(stale_after=10, remove_after=20))
    for _ in range(600):
        mesh.advance(6)
        assert state(west, "east") is State.MIRRORED


def test_another_source_takes_over_what_is_withdrawn_and_keeps_it(mesh: Mesh) -> None:
    east, west = silent_pair(mesh, Patience(stale_after=60, remove_after=120), "north")
    before = mirror(west)
    silence(east)
    mesh.advance(100)
    assert state(west, "east") is State.STALE
    assert source_of(west) == "east"
    mesh.advance(30)
    assert source_of(west) == "north"
    assert addresses(west) == ({"10.9.0.1"}, set())
    silence(east, False)
    mesh.advance(60)
    assert source_of(west) == "north"
    assert state(west, "east") is State.STANDBY
    assert mirror(west)["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_a_source_that_is_silent_from_the_start_is_stale_as_well(mesh: Mesh) -> None:
    """What an earlier process wrote is all that is known of it."""
    east, west = silent_pair(mesh, Patience(stale_after=60, remove_after=600))
    silence(east)
    west.restart()
    mesh.advance(40)
    assert addresses(west) == ({"10.9.0.1"}, set())
    mesh.advance(30)
    assert addresses(west) == (set(), {"10.9.0.1"})
    assert state(west, "east") is State.STALE
    mesh.advance(600)
    assert addresses(west) == (set(), set())
    silence(east, False)
    mesh.advance(31)
    assert addresses(west) == ({"10.9.0.1"}, set())


def test_patience_is_per_source(mesh: Mesh) -> None:
    east, west = silent_pair(mesh, Patience(stale_after=60), "north")
    export(mesh["north"], "shop/other", "10.9.0.2")
    mesh.advance(1)
    silence(east)
    silence(mesh["north"])
    mesh.advance(70)
    assert addresses(west) == (set(), {"10.9.0.1"})
    assert addresses(west, "shop/other") == ({"10.9.0.2"}, set())
    silence(mesh["north"], False)


# Mass deletion

LIMITS = Limits(fraction=0.5, least=10, hold=300)


def emptied(mesh: Mesh, **policy: object) -> Node:
    """West with twelve mirrors of east, which comes back with two of them in a new list."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(limits=LIMITS, **policy))
    for number in range(12):
        export(east, f"shop/s{number}")
    mesh.advance(STARTING + 2)
    east.stop()
    for number in range(10):
        withdraw(east, f"shop/s{number}")
    export(east, "shop/new")
    east.start()
    mesh.advance(40)
    return west


def mirrors(node: Node) -> set[str]:
    stores = node.cluster.model.stores
    return {record.name for record in stores[SERVICES] if record.source is not None}


def test_a_list_that_lacks_most_of_the_mirrors_deletes_none_of_them(mesh: Mesh) -> None:
    west = emptied(mesh)
    assert mirrors(west) == {"new", *(f"s{number}" for number in range(12))}
    assert state(west, "east", "shop/s1") is State.HELD
    assert addresses(west, "shop/s1") == ({"10.9.0.1"}, set())
    assert state(west, "east", "shop/s11") is State.MIRRORED
    held = events(west, "Held")
    assert 0 < len(held) <= 10
    mesh.advance(300)
    assert mirrors(west) == {"new", "s10", "s11"}


def bared(mesh: Mesh) -> Node:
    """West with twelve mirrors of east, which comes back without ten of their Endpoints."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(limits=LIMITS))
    for number in range(12):
        export(east, f"shop/s{number}")
    mesh.advance(STARTING + 2)
    east.stop()
    for number in range(10):
        east.cluster.delete(ENDPOINTS, f"shop/s{number}")
    east.start()
    mesh.advance(40)
    return west


def backed(node: Node) -> set[str]:
    """The names of the mirrors that have something behind them."""
    stores = node.cluster.model.stores
    return {record.name for record in stores[ENDPOINTS] if record.source is not None} & {
        record.labels["kubernetes.io/service-name"] for record in stores[ENDPOINTSLICES]
    }


def test_lists_that_lack_what_is_behind_most_mirrors_withdraw_none_of_it(mesh: Mesh) -> None:
    """The Services may all be there."""
    west = bared(mesh)
    assert len(backed(west)) == 12
    assert addresses(west, "shop/s1") == ({"10.9.0.1"}, set())
    assert state(west, "east", "shop/s1") is State.HELD
    assert state(west, "east", "shop/s11") is State.MIRRORED
    mesh.advance(300)
    assert backed(west) == {"s10", "s11"}
    assert state(west, "east", "shop/s1") is State.MIRRORED
    assert len(mirrors(west)) == 12


def test_what_is_behind_mirrors_is_released_as_well(mesh: Mesh) -> None:
    west = bared(mesh)
    assert controller(west).release("east") == 10
    mesh.advance(1)
    assert backed(west) == {"s10", "s11"}


def test_what_is_behind_a_mirror_again_is_mirrored_at_once_and_not_held_any_more(
    mesh: Mesh,
) -> None:
    west = bared(mesh)
    mesh["east"].cluster.put(ENDPOINTS, endpoints("shop/s1", ("10.9.0.2",)))
    mesh.advance(1)
    assert addresses(west, "shop/s1") == ({"10.9.0.2"}, set())
    mesh["east"].cluster.delete(ENDPOINTS, "shop/s1")
    mesh.advance(1)
    assert len(backed(west)) == 11


def test_endpoints_that_go_one_by_one_are_believed(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(limits=LIMITS))
    for number in range(12):
        export(east, f"shop/s{number}")
    mesh.advance(STARTING + 2)
    for number in range(12):
        east.cluster.delete(ENDPOINTS, f"shop/s{number}")
    mesh.advance(1)
    assert backed(west) == set()


def test_released_deletions_go_ahead_at_once(mesh: Mesh) -> None:
    west = emptied(mesh)
    with pytest.raises(ValueError, match="no source 'nobody'"):
        controller(west).release("nobody")
    assert controller(west).release("east") == 10
    mesh.advance(1)
    assert mirrors(west) == {"new", "s10", "s11"}


def test_a_source_that_has_them_again_keeps_its_mirrors(mesh: Mesh) -> None:
    west = emptied(mesh)
    before = mirror(west, "shop/s1")
    for number in range(10):
        export(mesh["east"], f"shop/s{number}")
    mesh.advance(400)
    assert mirror(west, "shop/s1")["metadata"]["uid"] == before["metadata"]["uid"]
    assert state(west, "east", "shop/s1") is State.MIRRORED
    withdraw(mesh["east"], "shop/s1")
    mesh.advance(1)
    assert "s1" not in mirrors(west)


def test_deletions_one_by_one_are_believed(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(limits=LIMITS))
    for number in range(12):
        export(east, f"shop/s{number}")
    mesh.advance(STARTING + 2)
    for number in range(12):
        withdraw(east, f"shop/s{number}")
    mesh.advance(1)
    assert mirrors(west) == set()


def test_a_restarted_reflector_holds_them_as_well(mesh: Mesh) -> None:
    west = emptied(mesh)
    west.restart()
    mesh.advance(STARTING + 2)
    assert len(mirrors(west)) == 13
    mesh.advance(300)
    assert mirrors(west) == {"new", "s10", "s11"}


# Namespaces and names


def test_allowed_and_denied_namespaces(mesh: Mesh) -> None:
    east = mesh.join("east")
    policy = {"namespaces": ("shop*",), "denied_namespaces": ("*-secret",)}
    west = mesh.join("west", ["east"], roles=roles(**policy))
    for namespace in ("shop", "shop-2", "shop-secret", "other"):
        export(east, f"{namespace}/cart")
    mesh.advance(2)
    assert west.cluster.get(SERVICES, "shop/cart")
    assert west.cluster.get(SERVICES, "shop-2/cart")
    for key in ("shop-secret/cart", "other/cart"):
        assert west.cluster.get(SERVICES, key) is None
        assert state(west, "east", key) is State.REFUSED


def test_a_mirror_whose_namespace_is_denied_from_now_on_is_deleted(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east)
    mesh.advance(2)
    west.stop()
    west._roles = roles(denied_namespaces=("shop",))
    west.start()
    mesh.advance(STARTING + 2)
    assert west.cluster.get(SERVICES, KEY) is None


def test_missing_namespaces_are_waited_for_where_none_are_created(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(create_namespaces=False))
    export(east)
    mesh.advance(2)
    assert west.cluster.get(NAMESPACES, "shop") is None
    assert state(west, "east") is State.PENDING
    west.cluster.put(NAMESPACES, {"metadata": {"name": "shop"}})
    mesh.advance(1)
    assert source_of(west) == "east"


def test_names_by_template(mesh: Mesh) -> None:
    """Two sources with one Service: both are there, each under a name of its own."""
    naming = Naming(name="{name}-{source}", namespace="from-{source}")
    east, north = mesh.join("east"), mesh.join("north")
    west = mesh.join("west", ["east", "north"], roles=roles(naming=naming))
    export(east)
    export(north, KEY, "10.9.0.2")
    mesh.advance(2)
    for source, ip in (("east", "10.9.0.1"), ("north", "10.9.0.2")):
        key = f"from-{source}/cart-{source}"
        assert mirror(west, key)["metadata"]["annotations"][ORIGIN] == KEY
        assert addresses(west, key) == ({ip}, set())
    east.cluster.put(ENDPOINTS, endpoints(KEY, ["10.9.0.3"]))
    mesh.settle()
    assert addresses(west, "from-east/cart-east") == ({"10.9.0.3"}, set())
    withdraw(east)
    mesh.settle()
    assert west.cluster.get(SERVICES, "from-east/cart-east") is None
    assert west.cluster.get(SERVICES, "from-north/cart-north")


def test_two_services_of_one_source_with_one_name(mesh: Mesh) -> None:
    """The first to be mirrored keeps the name; the other takes it over when that goes."""
    naming = Naming(namespace="imported")
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(naming=naming))
    export(east, "b/cart", "10.9.0.2")
    mesh.advance(STARTING)
    export(east, "a/cart", "10.9.0.1")
    mesh.advance(1)
    assert addresses(west, "imported/cart") == ({"10.9.0.2"}, set())
    west.restart()
    mesh.advance(STARTING)
    before = mirror(west, "imported/cart")
    assert addresses(west, "imported/cart") == ({"10.9.0.2"}, set())
    reason = controller(west).statuses["imported/cart"]["east"].reason
    assert reason == "a/cart of the same source would have the same name"
    withdraw(east, "b/cart")
    mesh.advance(1)
    after = mirror(west, "imported/cart")
    assert addresses(west, "imported/cart") == ({"10.9.0.1"}, set())
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"][ORIGIN] == "a/cart"


def test_a_service_that_is_refused_is_in_nobodys_way(mesh: Mesh) -> None:
    naming = Naming(namespace="both")
    east = mesh.join("east")
    west = mesh.join("west", ["east"], roles=roles(naming=naming, external_names=False))
    export(east, "a/cart", type="ExternalName", externalName="cart.example")
    export(east, "b/cart")
    mesh.advance(2)
    assert mirror(west, "both/cart")["metadata"]["annotations"][ORIGIN] == "b/cart"


def test_a_new_template_moves_the_mirrors(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east)
    mesh.advance(2)
    west.stop()
    west._roles = roles(naming=Naming(name="{name}-{source}"))
    west.start()
    mesh.advance(STARTING + 2)
    assert mirrors(west) == {"cart-east"}


def test_ignored_labels_and_annotations(mesh: Mesh) -> None:
    east = mesh.join("east")
    policy = {"ignored_labels": ("team*",), "ignored_annotations": ("example.com/*",)}
    west = mesh.join("west", ["east"], roles=roles(**policy))
    texts = {"team-x": "a", "kept": "b", "example.com/c": "d"}
    export(east, labels=texts, annotations=texts)
    mesh.advance(2)
    metadata = mirror(west)["metadata"]
    assert {k for k in metadata["labels"] if k in texts} == {"kept", "example.com/c"}
    assert {k for k in metadata["annotations"] if k in texts} == {"kept", "team-x"}
    assert metadata["labels"][REFLECTED] == "true"


def test_selectors_are_per_source(mesh: Mesh) -> None:
    east, north = mesh.join("east"), mesh.join("north")
    west = mesh.join("west", [("east", SourceSettings("east", selector="tier=front")), "north"])
    for node in (east, north):
        name = node.cluster.name
        for tier in ("front", "back"):
            labels = {"tier": tier}
            key = f"{name}/{tier}"
            node.cluster.put(SERVICES, service(key, labels=labels))
            node.cluster.put(ENDPOINTS, endpoints(key, ["10.9.0.1"], labels=labels))
    mesh.advance(2)
    found = west.cluster.keys(SERVICES)
    assert [k for k in found if k.split("/")[0] in ("east", "north")] == [
        "east/front",
        "north/back",
        "north/front",
    ]


def test_what_a_source_that_went_alone_exported_is_forgotten(mesh: Mesh) -> None:
    """A conflict of a source that is gone is none."""
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    export(east)
    west.cluster.put(SERVICES, service(KEY))
    mesh.advance(2)
    assert state(west, "east") is State.CONFLICT
    west.use_sources()
    mesh.advance(1)
    assert controller(west).statuses == {}
