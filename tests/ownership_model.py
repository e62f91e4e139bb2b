"""Who may own a name in the end, and what is behind it: the rules once more, in other words.

Nothing here knows the code under test. A quiet program has seen what every source says now; but
between two quiet moments it may have seen each state that a source was in or not, and the states of
several sources in any order. So a :class:`Says` tells all that may have been seen of a source, and
:func:`next_owners` all that a program may do about it; where each source says one thing only, that
is the rules to the letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from servicereflector.kube.annotations import ORIGIN, REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.slices import MANAGED_BY, MANAGER, SERVICE_NAME, flatten_slices
from servicereflector.kube.subsets import flatten
from servicereflector.testing.clusters import MemoryCluster

FRESH, STALE, REMOVED = range(3)

#: What a source may say of one of its Services: nothing; a Service alone; one with what is behind.
ABSENT, BARE, BACKED = "absent", "bare", "backed"

LISTED = "listed"  #: its first lists are in
AWAITED = "awaited"  #: they are expected any moment
OVERDUE = "overdue"  #: they are not

#: A ready or other address behind a port: ip, ready, the port's name and number.
Behind = tuple[str, bool, str, int]


# What clusters hold


def documents(cluster: MemoryCluster, resource: Resource) -> Iterator[Json]:
    for record in tuple(cluster.model.stores[resource]):
        yield record.document()


def key_in(document: Json) -> str:
    metadata = document["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def texts(document: Json, member: str) -> dict[str, str]:
    return document["metadata"].get(member) or {}


def is_ours(document: Json) -> bool:
    """Whether the program may touch it. A controller of the host copies annotations into slices of
    its own."""
    ours = texts(document, "annotations").get(REFLECTED) == "true"
    return ours and ("addressType" not in document or is_managed(document))


def is_managed(document: Json) -> bool:
    return texts(document, "labels").get(MANAGED_BY) == MANAGER


def is_marked(document: Json) -> bool:
    """Whether it looks like a mirror: then nobody mirrors it."""
    marks = (texts(document, member).get(REFLECTED) for member in ("annotations", "labels"))
    return "true" in marks


def behind_endpoints(document: Json) -> frozenset[Behind]:
    return frozenset(
        (address.ip, address.ready, port.name, port.number)
        for address, port in flatten(document.get("subsets"))
        if port is not None
    )


def behind_slices(found: Iterable[Json]) -> frozenset[Behind]:
    return frozenset(
        (endpoint[0], endpoint[2].ready, endpoint[1].name, endpoint[1].number or 0)
        for endpoint in flatten_slices(found)
        if endpoint[1] is not None
    )


def slices_of(cluster: MemoryCluster, key: str) -> list[Json]:
    """All that name the Service."""
    namespace, name = key.split("/")
    return [
        one
        for one in documents(cluster, ENDPOINTSLICES)
        if one["metadata"]["namespace"] == namespace
        and texts(one, "labels").get(SERVICE_NAME) == name
    ]


def kind_of(service: Json) -> str:
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return "ExternalName"
    return "headless" if spec.get("clusterIP") == "None" else "ClusterIP"


@dataclass(frozen=True)
class Exported:
    """What a cluster has under one key for others to mirror, as far as a selector lets it through.

    :ivar kind: of the Service, ``""`` where there is none.
    :ivar backed: whether there are Endpoints or slices.
    """

    kind: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    backed: bool = False
    behind: frozenset[Behind] = frozenset()


#: By key.
Snapshot = Mapping[str, Exported]


def selects(selector: str | None, document: Json) -> bool:
    """The two forms that are used here: ``tier=x`` and ``tier!=x``."""
    if not selector:
        return True
    name, _, value = selector.replace("!=", "=").partition("=")
    return (texts(document, "labels").get(name) == value) != ("!=" in selector)


def exported(cluster: MemoryCluster, selector: str | None = None) -> Snapshot:
    """What the cluster shows of its own: never a mirror, never its own API."""

    def own(resource: Resource) -> list[Json]:
        found = documents(cluster, resource)
        return [one for one in found if not is_marked(one) and selects(selector, one)]

    services = {key_in(one): one for one in own(SERVICES) if key_in(one) != "default/kubernetes"}
    endpoints = {key_in(one): one for one in own(ENDPOINTS)}
    slices: dict[str, list[Json]] = {}
    for one in own(ENDPOINTSLICES):
        if name := texts(one, "labels").get(SERVICE_NAME):
            slices.setdefault(f"{one['metadata']['namespace']}/{name}", []).append(one)
    found = {}
    for key in {*services, *endpoints, *slices}:
        service = services.get(key)
        if key in slices:
            behind = behind_slices(slices[key])
        else:
            behind = behind_endpoints(endpoints[key]) if key in endpoints else frozenset()
        found[key] = Exported(
            "" if service is None else kind_of(service),
            tuple(sorted(texts(service, "labels").items())) if service else (),
            tuple((p["name"], p["port"]) for p in service["spec"].get("ports") or ())
            if service
            else (),
            key in slices or key in endpoints,
            behind,
        )
    return found


# Who owns a name


@dataclass(frozen=True)
class Owner:
    """Whose mirror a name is by its annotations.

    :ivar origin: the key in the source, ``""`` where that is not known.
    """

    source: str
    origin: str


def owner_in(cluster: MemoryCluster, key: str) -> Owner | None:
    """By the mirror's Service, else its Endpoints, else its slices."""
    for resource in (SERVICES, ENDPOINTS):
        document = cluster.get(resource, key)
        if document is not None and is_ours(document):
            told = texts(document, "annotations")
            return Owner(told.get(SOURCE, ""), told.get(ORIGIN, key))
    for one in slices_of(cluster, key):
        if is_ours(one):
            return Owner(texts(one, "annotations").get(SOURCE, ""), "")
    return None


@dataclass(frozen=True)
class Says:
    """What may have been seen of one name of the host in one configured source.

    :ivar claims: by the key in the source.
    """

    name: str
    url: str
    claims: Mapping[str, frozenset[str]]
    listing: frozenset[str] = frozenset({LISTED})
    freshness: frozenset[int] = frozenset({FRESH})

    def has(self, key: str, *states: str) -> bool:
        return LISTED in self.listing and not self.claims.get(key, frozenset()).isdisjoint(states)

    @property
    def may_export(self) -> bool:
        return any(self.has(key, BARE, BACKED) for key in self.claims)

    @property
    def may_not_export(self) -> bool:
        return self.listing != {LISTED} or all(ABSENT in c for c in self.claims.values())

    @property
    def may_let_go(self) -> bool:
        """Whether the name's mirror may be deleted for all that this source says."""
        gone = LISTED in self.listing and all(ABSENT in c for c in self.claims.values())
        return gone or OVERDUE in self.listing

    @property
    def may_lack(self) -> bool:
        """Whether it may have nothing to mirror, for all that will be known of it soon."""
        return OVERDUE in self.listing or all(c != {BACKED} for c in self.claims.values())


@dataclass(frozen=True)
class Rules:
    """
    :ivar orphans_go: the sources whose mirrors are deleted if they are not configured; None: all.
    """

    orphans_go: frozenset[str] | None = field(default_factory=frozenset)

    def delete_orphan(self, source: str) -> bool:
        return self.orphans_go is None or source in self.orphans_go


def next_owners(
    owner: Owner | None, sources: Sequence[Says], rules: Rules
) -> frozenset[Owner | None]:
    """What a program may make of a name that has this owner, when it looks at it next.

    :param sources: in configured order.
    """
    if owner is None:
        return frozenset(_firsts(sources)) | ({None} if all(s.may_lack for s in sources) else set())
    keepers = [source for source in sources if source.name == owner.source]
    keepers = keepers or [source for source in sources if source.url == owner.source]
    found: set[Owner | None] = set()
    for i, keeper in enumerate(keepers):
        if keeper.may_export and all(other.may_not_export for other in keepers[:i]):
            found |= _kept(owner, keeper, sources)
        if keeper.listing != {LISTED} and all(other.may_not_export for other in keepers):
            found |= _unless_removed(owner, keeper, {owner}, sources)
    if all(LISTED in keeper.listing and keeper.may_not_export for keeper in keepers):
        found |= _abandoned(owner, bool(keepers), sources, rules)
    return frozenset(found)


def _kept(owner: Owner, keeper: Says, sources: Sequence[Says]) -> set[Owner | None]:
    """The keeper exports the name, maybe from another key than before."""
    found: set[Owner | None] = set()
    if keeper.has(owner.origin, BARE, BACKED):
        found.add(Owner(keeper.name, owner.origin))
    if owner.origin not in keeper.claims or ABSENT in keeper.claims[owner.origin]:
        found |= {Owner(keeper.name, key) for key in _rivals(keeper)}
    return _unless_removed(owner, keeper, found, sources)


def _unless_removed(
    owner: Owner, keeper: Says, kept: set[Owner | None], sources: Sequence[Says]
) -> set[Owner | None]:
    """A source that has been silent for too long loses the name to one that has something."""
    if REMOVED not in keeper.freshness:
        return kept
    usable = [s for s in sources if s is not keeper and s.freshness != {REMOVED}]
    certain = keeper.freshness == {REMOVED} and any(
        not s.may_lack and s.listing == {LISTED} and REMOVED not in s.freshness for s in usable
    )
    return {*_firsts(usable), *(() if certain else kept)}


def _abandoned(
    owner: Owner, configured: bool, sources: Sequence[Says], rules: Rules
) -> set[Owner | None]:
    """Its source is listed without it, or not configured."""
    found: set[Owner | None] = set(_firsts(sources, waiting=False))
    if all(source.may_lack or source.listing != {LISTED} for source in sources):
        # Nobody has anything behind it: the first that exports the Service alone.
        found |= set(_firsts(sources, BARE, waiting=False))
    if all(source.may_not_export for source in sources):
        may_go = configured or rules.delete_orphan(owner.source)
        goes = may_go and all(source.may_let_go for source in sources)
        found.add(None if goes else owner)
    return found


def _firsts(
    sources: Sequence[Says], state: str = BACKED, *, waiting: bool = True
) -> Iterator[Owner]:
    """The sources that may be the first that says this.

    :param waiting: whether one that is listed in a moment is as good as one that is.
    """

    def passed_over(other: Says, by: Says) -> bool:
        lacks = other.may_lack if state == BACKED else other.may_not_export
        if lacks or (not waiting and AWAITED in other.listing):
            return True
        fresh, silent = min(by.freshness), max(other.freshness)
        before = sources.index(by) < sources.index(other)
        return fresh < silent or (fresh == silent and before)

    for source in sources:
        if all(passed_over(other, source) for other in sources if other is not source):
            for key in source.claims:
                if source.has(key, state):
                    yield Owner(source.name, key)


def _rivals(source: Says) -> Iterator[str]:
    """The keys of the source of which one has the name: those with something behind come first."""
    backed = [key for key in source.claims if source.has(key, BACKED)]
    yield from backed
    if source.may_lack:
        yield from (key for key in source.claims if source.has(key, BARE))


def reachable(
    starts: Iterable[Owner | None], configurations: Iterable[Sequence[Says]], rules: Rules
) -> frozenset[Owner | None]:
    """Who may have had the name in between, the first ones included."""
    configured = list(configurations)
    found = set(starts)
    waiting = list(found)
    while waiting:
        owner = waiting.pop()
        for sources in configured:
            fresh = next_owners(owner, sources, rules) - found
            found |= fresh
            waiting += fresh
    return frozenset(found)


def ends(
    starts: Iterable[Owner | None], sources: Sequence[Says], rules: Rules
) -> frozenset[Owner | None]:
    """Who may have the name once nothing is left to do.

    :param sources: each of which says one thing only.
    """
    passed = reachable(starts, [sources], rules)
    return frozenset(o for o in passed if next_owners(o, sources, rules) == {o})
