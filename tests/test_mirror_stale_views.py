"""Plans that are made of what was, and carried out on what is: they fail rather than harm.

A store lags behind its cluster, each resource's on its own, and a person may write between any two
actions of a plan. The host is the embedded cluster, with the preconditions of the real API.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from ownership_model import (
    ABSENT,
    BACKED,
    BARE,
    LISTED,
    OVERDUE,
    Rules,
    Says,
    behind_endpoints,
    behind_slices,
    ends,
    is_ours,
    owner_in,
    slices_of,
)

from servicereflector.embedded.cluster import Preconditions
from servicereflector.kube.annotations import REFLECTED
from servicereflector.kube.objects import Json, record_of, split_key
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.kube.slices import MANAGED_BY, SERVICE_NAME
from servicereflector.kube.status import ApiError
from servicereflector.mirror.features import Features
from servicereflector.mirror.freshness import Freshness
from servicereflector.mirror.plan import Action, Create, Delete, Update, make_plan
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import HostState, SourceState
from servicereflector.testing.clusters import MemoryCluster, endpoints, service

KEY = "shop/a"
NAMESPACE, NAME = split_key(KEY)
SOURCES = ("east", "north")
GUARDED = (NAMESPACES, SERVICES, ENDPOINTS, ENDPOINTSLICES)

FRESHNESS = tuple(Freshness)


@dataclass(frozen=True)
class Person:
    """Somebody writes in the host."""

    what: str


@dataclass(frozen=True)
class Change:
    """A source says something else.

    :ivar ip: the last number of its one address.
    """

    source: str
    says: str
    kind: str = "ClusterIP"
    ip: int = 1
    freshness: Freshness = Freshness.FRESH
    held: bool = False


@dataclass(frozen=True)
class Look:
    """A plan is made and carried out.

    :ivar lags: by how many writes each resource of the host and each source is behind.
    :ivar meanwhile: what a person does before each of the actions, None for nothing.
    """

    lags: tuple[int, ...]
    meanwhile: tuple[Person | None, ...]


@dataclass(frozen=True)
class Settle:
    """Nothing is behind any more, and plans are made until there is nothing to do."""


Step = Person | Change | Look | Settle

persons = st.builds(
    Person,
    st.sampled_from(
        (
            "put Service",
            "put Endpoints",
            "put slice",
            "delete Service",
            "delete Endpoints",
            "delete slices",
            "delete Namespace",
            "adopt Service",
            "adopt Endpoints",
            "adopt slices",
            "label Service",
        )
    ),
)
changes = st.builds(
    Change,
    st.sampled_from(SOURCES),
    st.sampled_from((ABSENT, BARE, BACKED, BACKED, "unlisted", "awaited")),
    st.sampled_from(("ClusterIP", "ClusterIP", "headless", "ExternalName")),
    st.integers(1, 3),
    st.sampled_from((Freshness.FRESH, *FRESHNESS)),
    st.booleans(),
)
looks = st.builds(
    Look,
    st.tuples(*[st.sampled_from((0, 0, 0, 1, 1, 2, 3))] * (len(GUARDED) + len(SOURCES))),
    st.lists(st.none() | persons, max_size=3).map(tuple),
)


def said(change: Change) -> SourceState:
    """What the source says then."""
    listed = change.says not in ("unlisted", "awaited")
    state = SourceState(
        change.source,
        listed,
        awaited=change.says == "awaited",
        freshness=change.freshness,
        held=change.held,
    )
    if change.says not in (BARE, BACKED):
        return state
    spec: dict[str, str] = {}
    if change.kind == "headless":
        spec = {"clusterIP": "None"}
    elif change.kind == "ExternalName":
        spec = {"type": "ExternalName", "externalName": f"{change.ip}.example"}
    state = replace(state, service=record_of(SERVICES, service(KEY, **spec)))
    if change.says == BARE:
        return state
    behind = endpoints(KEY, [f"10.9.{SOURCES.index(change.source)}.{change.ip}"])
    return replace(state, endpoints=record_of(ENDPOINTS, behind))


class World:
    """
    :ivar views: what each resource of the host, by its place, and each source was like.
    :ivar foreign: what no plan may touch.
    :ivar turned: whether a Service has become headless, or ceased to be, since all was settled.
    """

    def __init__(self, policy: Policy) -> None:
        self.cluster = MemoryCluster("host")
        self.policy = policy
        self.changes = {name: Change(name, "unlisted") for name in SOURCES}
        self.views: list[list[object]] = [[] for _ in (*GUARDED, *SOURCES)]
        self.foreign: dict[tuple[Resource, str], bytes] = {}
        self.turned = False
        for name in SOURCES:
            self.change(self.changes[name])
        self.person(Person("nothing"))

    # What happens

    def change(self, change: Change) -> None:
        self.turned = self.turned or change.kind != self.changes[change.source].kind
        self.changes[change.source] = change
        self.views[len(GUARDED) + SOURCES.index(change.source)].append(said(change))

    def person(self, person: Person) -> None:
        verb, _, kind = person.what.partition(" ")
        match verb:
            case "put":
                self.put(kind)
            case "delete":
                self.delete(kind)
            case "adopt":
                self.edit(kind, lambda metadata: metadata["annotations"].pop(REFLECTED, None))
            case "label":
                self.edit(kind, lambda metadata: metadata["labels"].update(mine="1"))
        self.foreign = self.foreign_now()
        self.seen()

    def put(self, kind: str) -> None:
        if kind == "Service":
            # One that is there would keep its kind, and maybe its marks.
            self.delete("Service")
            self.cluster.put(SERVICES, service(KEY, labels={"mine": "1"}))
        elif kind == "Endpoints":
            self.cluster.put(ENDPOINTS, endpoints(KEY, ["10.5.5.5"]))
        else:
            metadata = {
                "namespace": NAMESPACE,
                "name": f"{NAME}-mine",
                "labels": {SERVICE_NAME: NAME, MANAGED_BY: "a-controller"},
                "annotations": {REFLECTED: "true"},  # as the host's controllers copy it
            }
            self.cluster.put(ENDPOINTSLICES, {"metadata": metadata, "addressType": "IPv4"})

    def delete(self, kind: str) -> None:
        for resource, key in self.places(kind):
            if self.cluster.get(resource, key) is not None:
                self.cluster.delete(resource, key)

    def edit(self, kind: str, edit: Callable[[Json], object]) -> None:
        for resource, key in self.places(kind):
            document = self.cluster.get(resource, key)
            if document is not None and is_ours(document):
                edit(document["metadata"])
                self.cluster.put(resource, document)

    def places(self, kind: str) -> list[tuple[Resource, str]]:
        if kind == "slices":
            found = slices_of(self.cluster, KEY)
            return [(ENDPOINTSLICES, f"{NAMESPACE}/{one['metadata']['name']}") for one in found]
        key = NAMESPACE if kind == "Namespace" else KEY
        return [(resource, key) for resource in GUARDED if resource.kind == kind]

    def look(self, look: Look) -> None:
        host, sources = self.state(look.lags)
        plan = make_plan(KEY, sources, host, Features(family="IPv4"), self.policy)
        for number, action in enumerate(plan.actions):
            person = look.meanwhile[number] if number < len(look.meanwhile) else None
            if person is not None:
                self.person(person)
            self.spares_endpoints(action, host)
            try:
                self.carry_out(action)
            except ApiError:
                break
            finally:
                self.check(host)
                self.seen()

    def carry_out(self, action: Action) -> None:
        model = self.cluster.model
        match action:
            case Create(resource, document):
                document = copy.deepcopy(document)
                model.create(resource, document["metadata"].get("namespace", ""), document)
            case Update(resource, document):
                metadata = copy.deepcopy(document)["metadata"]
                model.update(
                    resource, metadata["namespace"], metadata["name"], copy.deepcopy(document)
                )
            case Delete(resource, namespace, name, uid, version):
                model.delete(resource, namespace, name, Preconditions(uid, str(version or "")))

    # What is seen

    def seen(self) -> None:
        for view, resource in zip(self.views, GUARDED, strict=False):
            if resource is ENDPOINTSLICES:
                store = self.cluster.model.stores[resource]
                now: object = tuple(r for r in store if r.labels.get(SERVICE_NAME) == NAME)
            else:
                key = NAMESPACE if resource is NAMESPACES else KEY
                now = self.cluster.model.stores[resource].get(key)
            if not view or view[-1] != now:
                view.append(now)

    def state(self, lags: tuple[int, ...] = ()) -> tuple[HostState, list[SourceState]]:
        lags = lags or (0,) * len(self.views)
        found = [
            view[max(0, len(view) - 1 - lag)] for view, lag in zip(self.views, lags, strict=True)
        ]
        namespace, its_service, its_endpoints, slices, *sources = found
        return HostState(namespace, its_service, its_endpoints, slices), sources  # type: ignore[arg-type,return-value]

    # What must be

    def foreign_now(self) -> dict[tuple[Resource, str], bytes]:
        return {
            (resource, record.key): record.body
            for resource in GUARDED
            for record in self.cluster.model.stores[resource]
            if not is_ours(record.document())
        }

    def spares_endpoints(self, action: Action, host: HostState) -> None:
        """The API server takes Endpoints along with their Service."""
        if isinstance(action, Delete) and action.resource is SERVICES:
            assert host.endpoints is None or host.endpoints.source is not None

    def check(self, host: HostState) -> None:
        now = self.foreign_now()
        for place, body in self.foreign.items():
            if place == (ENDPOINTS, KEY) and place not in now:
                # Nothing in the API keeps them: they had not been seen yet.
                assert host.endpoints is None or host.endpoints.body != body
                continue
            assert now.get(place) == body, f"{place} was touched"
        assert not now.keys() - self.foreign.keys(), "something unmarked was made"
        self.foreign = now

    def settle(self) -> None:
        """What is held is let go, and what is seen is what is."""
        for change in tuple(self.changes.values()):
            self.change(replace(change, held=False))
        # A Service that becomes headless is created anew, and the name may be free meanwhile.
        before = {owner_in(self.cluster, KEY), *([None] if self.turned else [])}
        self.turned = False
        for _ in range(6):
            host, sources = self.state()
            plan = make_plan(KEY, sources, host, Features(family="IPv4"), self.policy)
            if not plan.actions:
                break
            self.look(Look((0,) * len(self.views), ()))
        else:
            raise AssertionError(f"it does not come to an end: {plan}")
        if (SERVICES, KEY) in self.foreign or (ENDPOINTS, KEY) in self.foreign:
            return
        says = [self.says(change) for change in self.changes.values()]
        owner = owner_in(self.cluster, KEY)
        assert owner in ends(before, says, Rules(None if self.policy.prune else frozenset()))
        if owner is not None:
            self.check_mirror(self.changes[owner.source])

    def says(self, change: Change) -> Says:
        listing = {"unlisted": OVERDUE, "awaited": "awaited"}.get(change.says, LISTED)
        state = change.says
        if change.kind == "ExternalName" and state == BARE:
            state = BACKED
        claims = {} if listing != LISTED else {KEY: frozenset({state})}
        freshness = FRESHNESS.index(change.freshness)
        return Says(change.source, "", claims, frozenset({listing}), frozenset({freshness}))

    def check_mirror(self, change: Change) -> None:
        if change.says not in (BARE, BACKED):
            return
        there = change.says == BACKED and change.kind != "ExternalName"
        there = there and change.freshness is not Freshness.REMOVED
        ip = f"10.9.{SOURCES.index(change.source)}.{change.ip}"
        ready = change.freshness is Freshness.FRESH
        wanted = {(ip, ready, "p80", 80)} if there else set()
        found = self.cluster.get(ENDPOINTS, KEY)
        assert (found is None) == (change.kind == "ExternalName")
        assert found is None or behind_endpoints(found) == wanted
        own = [one for one in slices_of(self.cluster, KEY) if is_ours(one)]
        if not any(r is ENDPOINTSLICES and k != f"{KEY}-mine" for r, k in self.foreign):
            assert behind_slices(own) == wanted


def play(steps: list[Step], policy: Policy) -> None:
    world = World(policy)
    for step in steps:
        match step:
            case Person():
                world.person(step)
            case Change():
                world.change(step)
            case Look():
                world.look(step)
            case Settle():
                world.settle()
    world.settle()


steps = st.lists(
    st.one_of(looks, looks, changes, changes, persons, st.just(Settle())), min_size=10, max_size=60
)


@settings(max_examples=settings.default.max_examples * 6)  # type: ignore[union-attr]
@given(steps, st.booleans())
def test_a_plan_of_what_was_touches_nothing_that_is_not_ours(
    steps: list[Step], prune: bool
) -> None:
    """And plans of what is lead to what the rules say, whatever was done before."""
    play(steps, Policy(prune=prune))
