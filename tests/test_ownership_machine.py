"""Meshes of programs against the rules of ownership: people, faults and operators in any order.

Whatever happens, nothing that a person made is touched. Once it is quiet, each name has the owner
that the rules give it, its mirror is what that exports, and nothing is written any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from ownership_model import (
    ABSENT,
    AWAITED,
    BACKED,
    BARE,
    FRESH,
    LISTED,
    OVERDUE,
    REMOVED,
    STALE,
    Exported,
    Owner,
    Rules,
    Says,
    Snapshot,
    behind_endpoints,
    behind_slices,
    documents,
    ends,
    exported,
    is_ours,
    key_in,
    kind_of,
    owner_in,
    reachable,
    slices_of,
    texts,
)

from servicereflector.kube.annotations import ORIGIN, REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.slices import MANAGED_BY, SERVICE_NAME
from servicereflector.listwatch.machine import Timing
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.freshness import Patience
from servicereflector.mirror.naming import Naming
from servicereflector.mirror.ownership import State
from servicereflector.mirror.policy import EndpointsApi, Policy
from servicereflector.program import Roles
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import MemoryCluster, Mesh, Node, endpoints, service
from servicereflector.testing.network import Server

KEYS = ("shop/a", "shop/b", "mall/a", "mall/b")
GHOST = "ghost"  # a source that never answers
HOLD = 60.0
LIMITS = Limits(fraction=0.5, least=3, hold=HOLD)
PATIENCES = (*[Patience()] * 6, Patience(90.0, 180.0), Patience(90.0), Patience(None, 150.0))

#: Watches that bring nothing are seldom begun anew: that is most of what happens otherwise.
LAZY = Timing(idle=1000.0, watch=(3000, 6000))
SELECTORS = (None, None, None, "tier=x", "tier!=x")

#: Seconds after which nothing is left of backoffs, holds, silences and what starts.
LONG_ENOUGH = 240.0

#: Steps between two quiet moments, which take their time.
ENOUGH = 3

GUARDED = (NAMESPACES, SERVICES, ENDPOINTS, ENDPOINTSLICES)

#: A configured source: the node whose Emitter it is, and how it is reflected.
Entry = tuple[str, SourceSettings]

Body = tuple[int, bytes]


def foreign_in(cluster: MemoryCluster) -> dict[tuple[Resource, str], Body]:
    """All that the program may not touch."""
    return {
        (resource, record.key): (record.version, record.body)
        for resource in GUARDED
        for record in cluster.model.stores[resource]
        if not is_ours(record.document())
    }


@dataclass(eq=False)
class Host:
    """A node as a host, and what has happened there since it was quiet last.

    :ivar configurations: its sources; the last ones are those of now.
    :ivar owners: who owned each name when it was quiet last.
    :ivar uids: of the mirror Services then, with their clusterIPs.
    :ivar made_owners: the owners that a person's hand may have given a name since.
    :ivar foreign: what the program may not touch.
    :ivar unseen: foreign Endpoints that the program may not have heard of yet.
    :ivar new: sources that may not have been listed for a moment.
    :ivar starts: how often sources were listed anew.
    :ivar additions: labels that a person has added to mirrors, by the uid.
    :ivar written: what a person wrote last.
    """

    node: Node
    policy: Policy
    configurations: list[tuple[Entry, ...]]
    emits: bool
    owners: dict[str, Owner] = field(default_factory=dict)
    uids: dict[str, tuple[str, str]] = field(default_factory=dict)
    made_owners: dict[str, set[Owner | None]] = field(default_factory=dict)
    foreign: dict[tuple[Resource, str], Body] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)
    new: set[Entry] = field(default_factory=set)
    starts: int = 0
    forgotten: set[str] = field(default_factory=set)
    ever_forgotten: set[str] = field(default_factory=set)
    additions: dict[str, str] = field(default_factory=dict)
    written: dict[tuple[Resource, str], Json] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.cluster.name

    @property
    def cluster(self) -> MemoryCluster:
        return self.node.cluster

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.configurations[-1]

    def host_key(self, source: str, key: str) -> str:
        namespace, name = key.split("/")
        values = {"{name}": name, "{namespace}": namespace, "{source}": source}
        naming = self.policy.naming
        return "/".join(_filled(t, values) for t in (naming.namespace, naming.name))

    def refuses(self, key: str, host_key: str, kind: str) -> bool:
        namespaces = {key.split("/", maxsplit=1)[0], host_key.split("/", maxsplit=1)[0]}
        denied = not namespaces.isdisjoint(self.policy.denied_namespaces)
        return denied or (kind == "ExternalName" and not self.policy.external_names)

    def mirrors(self) -> list[str]:
        return [key_in(one) for one in documents(self.cluster, SERVICES) if is_ours(one)]

    def names(self) -> list[str]:
        """Every name that something was or is mirrored under, or may be."""
        found = {self.host_key(e[1].name, key) for e in self.entries for key in KEYS}
        found |= {*KEYS, *self.owners, *self.made_owners}
        for resource in (SERVICES, ENDPOINTS):
            found |= {key_in(one) for one in documents(self.cluster, resource) if is_ours(one)}
        for one in documents(self.cluster, ENDPOINTSLICES):
            if is_ours(one) and (name := texts(one, "labels").get(SERVICE_NAME)):
                found.add(f"{one['metadata']['namespace']}/{name}")
        return sorted(found)

    def touched(self, key: str, *owners: Owner | None) -> None:
        self.made_owners.setdefault(key, set()).update(owners)

    def forget_the_past(self) -> None:
        """It is quiet now."""
        self.configurations = [self.entries]
        names = self.names()
        self.owners = {k: o for k in names if (o := owner_in(self.cluster, k)) is not None}
        self.uids = {}
        for key in self.mirrors():
            one = self.cluster.get(SERVICES, key)
            assert one is not None
            self.uids[key] = one["metadata"]["uid"], one["spec"].get("clusterIP", "")
        self.made_owners = {}
        self.new = set()
        self.starts = 0
        self.ever_forgotten = set(self.forgotten)


def _filled(template: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


NAMINGS = (
    Naming(),
    Naming(),
    Naming(),
    Naming(name="{name}-{source}"),
    Naming(namespace="both"),
    Naming(name="{name}-{source}", namespace="both"),
)


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((usual,) * 5 * len(others) + others)


policies = st.builds(
    Policy,
    prune=mostly(False, True),
    naming=st.sampled_from(NAMINGS),
    denied_namespaces=mostly((), ("mall",)),
    create_namespaces=mostly(True, False),
    endpoints_api=mostly(EndpointsApi.BOTH, EndpointsApi.ENDPOINTS, EndpointsApi.ENDPOINTSLICES),
    external_names=mostly(True, False),
    limits=st.just(LIMITS),
)

#: Which of so many nodes the one of this number reflects.
TOPOLOGIES: dict[str, Callable[[int, int], Iterable[int]]] = {
    "chain": lambda _, number: range(max(0, number - 1), number),
    "ring": lambda count, number: [(number - 1) % count],
    "star": lambda count, number: range(1, count) if number == 0 else (),
    "fan": lambda _count, number: [0] if number else (),
    "full": lambda count, number: [n for n in range(count) if n != number],
}


@st.composite
def settings_of(draw: st.DrawFn, node: str, naming: Naming) -> SourceSettings:
    """A source, by the name of its node, another one, or its URL."""
    url = f"http://{node}.emitter"
    names = [node, node, f"{node}2"]
    if "{source}" not in naming.name:
        names.append(url)
    return SourceSettings(
        draw(st.sampled_from(names)),
        url=url,
        selector=draw(st.sampled_from(SELECTORS)),
        patience=draw(st.sampled_from(PATIENCES)),
    )


@dataclass(frozen=True)
class Drawn:
    policy: Policy
    entries: tuple[Entry, ...]
    emits: bool
    timing: Timing | None


@st.composite
def worlds(draw: st.DrawFn) -> list[Drawn]:
    count = draw(st.sampled_from((2, 3, 3, 3, 4, 5)))
    names = "abcde"[:count]
    topology = TOPOLOGIES[draw(st.sampled_from(("full", "full", *TOPOLOGIES)))]
    found = []
    for number in range(count):
        policy = draw(policies)
        sources = draw(st.permutations([names[n] for n in topology(count, number)]))
        entries = tuple((name, draw(settings_of(name, policy.naming))) for name in sources)
        emits = draw(st.sampled_from((True,) * 9 + (False,)))
        timing = draw(st.sampled_from((LAZY,) * 5 + (None,)))
        found.append(Drawn(policy, entries, emits, timing))
    return found


numbers = st.integers(0, 11)

#: What follows a step at once: nothing, some bytes that move between some of the servers in turn,
#: all that there is to do, or some time.
afterwards = (
    st.just("settle")
    | st.just("nothing")
    | st.lists(numbers, min_size=1, max_size=6)
    | st.sampled_from((0.5, 3.0, 20.0))
)
After = str | list[int] | float


some_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True)

#: A Service: its kind, what is behind it, how many ready addresses, and the value of a label.
How = tuple[str, str, int, str]
hows = st.tuples(
    mostly("ClusterIP", "headless", "ExternalName"),
    st.sampled_from(("endpoints", "endpoints", "slices", "both", "nothing")),
    st.integers(0, 3),
    st.sampled_from("xy"),
)


class Meshes(RuleBasedStateMachine):
    """
    :ivar history: what each node's cluster has shown since it was quiet, by the selector.
    :ivar faults: nodes that may have been out of reach since it was quiet.
    :ivar hushed: nodes whose Emitter is silent since a quiet moment, with what it showed then.
    :ivar hearing: the hosts and sources that were listed before that and have not begun anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mesh = Mesh()
        self.hosts: list[Host] = []
        self.by_name: dict[str, Host] = {}
        self.history: dict[str, list[dict[str | None, Snapshot]]] = {}
        self.faults: set[str] = set()
        self.silenced: set[str] = set()
        self.hushed: dict[str, dict[str | None, Snapshot]] = {}
        self.hearing: set[tuple[str, Entry]] = set()
        self.failed = False
        self.steps = 0  # since it was quiet

    @initialize(
        world=worlds(),
        there=st.fixed_dictionaries(
            {key: st.sets(numbers, min_size=1, max_size=2) for key in KEYS}
        ),
        how=hows,
    )
    def begin(self, world: list[Drawn], there: dict[str, set[int]], how: How) -> None:
        for name, drawn in zip("abcde", world, strict=False):
            selector = LabelSelector()
            emitted = selector if drawn.emits else None
            roles = Roles(emitted=emitted, reflected=selector, policy=drawn.policy)
            node = self.mesh.join(name, drawn.entries, roles=roles, timing=drawn.timing)
            host = Host(node, drawn.policy, [drawn.entries], drawn.emits)
            host.foreign = foreign_in(node.cluster)
            host.new = set(drawn.entries)
            self.hosts.append(host)
            self.by_name[name] = host
            self.history[name] = []
            self.note(host)
        for key, places in there.items():
            for number in sorted(places):
                self.put_service(self.host(number), key, how, force=False)
        self.faults = set(self.by_name)

    def host(self, number: int) -> Host:
        return self.hosts[number % len(self.hosts)]

    # What a person does

    def note(self, host: Host) -> None:
        """A person has written: that is what there is to guard, and to see."""
        before, host.foreign = host.foreign, foreign_in(host.cluster)
        host.unseen |= {key for r, key in host.foreign.keys() - before.keys() if r is ENDPOINTS}
        shown = {selector: exported(host.cluster, selector) for selector in set(SELECTORS)}
        self.history[host.name].append(shown)

    def free(self, host: Host, key: str) -> None:
        """Delete what is ours under this key, as a person does who wants the name."""
        owner = owner_in(host.cluster, key)
        source = owner.source if owner is not None else ""
        if host.cluster.get(SERVICES, key) is not None:
            host.cluster.delete(SERVICES, key)
        self.note(host)
        host.touched(key, None, *([Owner(source, "")] if owner is not None else []))

    def put_again(self, host: Host, resource: Resource, key: str) -> None:
        """What a person wrote last."""
        if (resource, key) in host.written:
            host.cluster.put(resource, host.written[resource, key])
            self.note(host)

    def key(self, host: Host, number: int) -> str:
        names = [*KEYS, *KEYS, *host.names()]
        return names[number % len(names)]

    @rule(
        where=numbers,
        number=st.integers(0, 30),
        how=hows,
        force=st.booleans(),
        after=afterwards,
    )
    def put(self, where: int, number: int, how: How, force: bool, after: After) -> None:
        """Create or change a Service of one's own, and what is behind it."""
        host = self.host(where)
        self.put_service(host, self.key(host, number), how, force)
        self.then(after)

    @rule(where=numbers, keys=some_keys, how=hows, alone=st.booleans(), after=afterwards)
    def put_many(self, where: int, keys: list[str], how: How, alone: bool, after: After) -> None:
        """Services of one kind.

        :param alone: whether nobody else has some of these names.
        """
        host = self.host(where)
        if alone:
            self.clear(host, keys)
        for key in keys:
            self.put_service(host, key, how, force=alone)
        self.then(after)

    def clear(self, source: Host, keys: Iterable[str]) -> None:
        """Make way for mirrors of these."""
        for host in self.hosts:
            for key in keys:
                if host is not source:
                    self.delete_own(host, key)

    def put_service(self, host: Host, key: str, how: How, force: bool) -> None:
        kind, behind, ips, tier = how
        there = host.cluster.get(SERVICES, key)
        if there is not None and (is_ours(there) or kind_of(there) != kind):
            if is_ours(there) and not force:
                return
            self.free(host, key)
        labels = {"tier": tier, "ips": str(ips)}
        spec: Json = {}
        if kind == "headless":
            spec = {"clusterIP": "None"}
        elif kind == "ExternalName":
            spec = {"type": "ExternalName", "externalName": "db.example"}
        ports = [80, 443] if ips == 2 else [80]
        host.written[SERVICES, key] = service(key, ports=ports, labels=labels, **spec)
        self.put_again(host, SERVICES, key)
        self.put_behind(host, key, behind, ips, labels)

    @rule(where=numbers, number=st.integers(0, 30), ips=st.integers(0, 3), after=afterwards)
    def put_endpoints(self, where: int, number: int, ips: int, after: After) -> None:
        """Endpoints alone: a new address, or what stands in the way of a mirror."""
        host = self.host(where)
        key = self.key(host, number)
        labels = {"tier": "x", "ips": str(ips)}
        self.put_behind(host, key, "endpoints", ips, labels)
        self.then(after)

    def put_behind(
        self, host: Host, key: str, behind: str, ips: int, labels: dict[str, str]
    ) -> None:
        net = f"10.{self.hosts.index(host) + 1}.{sum(map(ord, key)) % 200}"
        addresses = [f"{net}.{n + 1}" for n in range(ips)]
        if behind in ("endpoints", "both"):
            owner = owner_in(host.cluster, key)
            document = endpoints(key, addresses, labels=labels)
            for subset in document["subsets"]:
                subset["notReadyAddresses"] = [{"ip": f"{net}.99"}]
            host.written[ENDPOINTS, key] = document
            self.put_again(host, ENDPOINTS, key)
            host.touched(key, owner)
        if behind in ("slices", "both"):
            namespace, name = key.split("/")
            document = {
                "metadata": {
                    "namespace": namespace,
                    "name": f"{name}-x",
                    "labels": {**labels, SERVICE_NAME: name, MANAGED_BY: "a-controller"},
                },
                "addressType": "IPv4",
                "endpoints": [
                    *({"addresses": [a], "conditions": {"ready": True}} for a in addresses),
                    {"addresses": [f"{net}.98"], "conditions": {"ready": False}},
                ],
                "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
            }
            host.cluster.put(ENDPOINTSLICES, document)
            self.note(host)

    @rule(
        where=numbers,
        number=st.integers(0, 30),
        what=st.sampled_from(("all", "all", "service", "endpoints", "slices")),
        after=afterwards,
    )
    def withdraw(self, where: int, number: int, what: str, after: After) -> None:
        """Delete a Service of one's own, or what is behind it."""
        host = self.host(where)
        keys = {key for resource, key in host.foreign if resource in (SERVICES, ENDPOINTS)}
        if keys := keys - {"default/kubernetes"}:
            self.delete_own(host, sorted(keys)[number % len(keys)], what)
            self.then(after)

    def delete_own(self, host: Host, key: str, what: str = "all") -> None:
        for resource, word in ((SERVICES, "service"), (ENDPOINTS, "endpoints")):
            if what in ("all", word) and (resource, key) in host.foreign:
                owner = owner_in(host.cluster, key)
                host.cluster.delete(resource, key)
                self.note(host)
                host.touched(key, owner, owner_in(host.cluster, key))
        if what in ("all", "slices"):
            for one in slices_of(host.cluster, key):
                if not is_ours(one):
                    host.cluster.delete(ENDPOINTSLICES, key_in(one))
                    self.note(host)

    @precondition(lambda self: any(host.mirrors() for host in self.hosts))
    @rule(
        number=st.integers(0, 100),
        how=st.sampled_from(
            (
                "add a label",
                "change a port",
                "add a selector",
                "delete",
                "delete with slices",
                "delete the Endpoints",
                "delete the slices",
                "adopt",
                "adopt wholly",
                "adopt the Endpoints",
                "adopt a slice",
                "let go of a slice",
                "name another source",
            )
        ),
        other=numbers,
        after=afterwards,
    )
    def tamper(self, number: int, how: str, other: int, after: After) -> None:
        """Lay hands on a mirror."""
        mirrors = [(host, key) for host in self.hosts for key in host.mirrors()]
        host, key = mirrors[number % len(mirrors)]
        owner = owner_in(host.cluster, key)
        assert owner is not None
        one = host.cluster.get(SERVICES, key)
        assert one is not None
        its_endpoints = host.cluster.get(ENDPOINTS, key)
        slices = [found for found in slices_of(host.cluster, key) if is_ours(found)]
        match how:
            case "add a label":
                host.additions[one["metadata"]["uid"]] = str(other)
                one["metadata"]["labels"]["mine"] = str(other)
                host.cluster.put(SERVICES, one)
            case "change a port" if one["spec"].get("ports"):
                one["spec"]["ports"][0]["port"] = 1000 + other
                host.cluster.put(SERVICES, one)
            case "add a selector":
                one["spec"]["selector"] = {"app": "mine"}
                host.cluster.put(SERVICES, one)
            case "delete" | "delete with slices":
                host.cluster.delete(SERVICES, key)
                host.touched(key, None, Owner(owner.source, ""))
                for found in slices if how == "delete with slices" else ():
                    host.cluster.delete(ENDPOINTSLICES, key_in(found))
            case "delete the Endpoints" if its_endpoints is not None and is_ours(its_endpoints):
                host.cluster.delete(ENDPOINTS, key)
            case "delete the slices":
                for found in slices:
                    host.cluster.delete(ENDPOINTSLICES, key_in(found))
            case "adopt" | "adopt wholly":
                del one["metadata"]["annotations"][REFLECTED]
                if how == "adopt wholly":
                    one["metadata"]["labels"].pop(REFLECTED, None)
                host.cluster.put(SERVICES, one)
                host.touched(key, owner_in(host.cluster, key))
            case "adopt the Endpoints" if its_endpoints is not None and is_ours(its_endpoints):
                del its_endpoints["metadata"]["annotations"][REFLECTED]
                host.cluster.put(ENDPOINTS, its_endpoints)
            case "adopt a slice" if slices:
                del slices[0]["metadata"]["annotations"][REFLECTED]
                host.cluster.put(ENDPOINTSLICES, slices[0])
            case "let go of a slice" if slices:
                del slices[0]["metadata"]["labels"][MANAGED_BY]
                host.cluster.put(ENDPOINTSLICES, slices[0])
            case "name another source":
                names = [*(entry[1].name for entry in host.entries), "nobody"]
                another = names[other % len(names)]
                one["metadata"]["annotations"][SOURCE] = another
                host.cluster.put(SERVICES, one)
                host.touched(key, Owner(another, owner.origin))
        self.note(host)
        self.then(after)

    @rule(where=numbers, namespace=st.sampled_from(("shop", "mall", "both")), after=afterwards)
    def delete_namespace(self, where: int, namespace: str, after: After) -> None:
        host = self.host(where)
        if host.cluster.get(NAMESPACES, namespace) is None:
            return
        for key in host.names():
            if key.startswith(f"{namespace}/"):
                host.touched(key, None)
        host.cluster.delete(NAMESPACES, namespace)
        self.note(host)
        self.then(after)

    # What goes wrong

    def servers(self) -> list[Server]:
        found = [host.cluster.server for host in self.hosts]
        return found + [h.node.emitter for h in self.hosts if h.node.emitter is not None]

    @rule(where=numbers, after=afterwards)
    def restart(self, where: int, after: After) -> None:
        host = self.host(where)
        self.stop(host)
        self.start(host)
        self.then(after)

    @rule(where=numbers, after=afterwards)
    def stop_or_start(self, where: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None:
            self.start(host)
        else:
            self.stop(host)
        self.then(after)

    def stop(self, host: Host) -> None:
        self.listen_again(host.name)
        self.faults.add(host.name)
        host.node.stop()

    def start(self, host: Host) -> None:
        """The program knows nothing of an earlier one."""
        if host.node.program is None:
            self.began_anew(host, host.entries)
            host.forgotten = set()
            host.node.start()

    def began_anew(self, host: Host, entries: Iterable[Entry]) -> None:
        entries = set(entries)
        host.starts += bool(entries)
        host.new |= entries
        self.hearing -= {(host.name, entry) for entry in entries}

    @rule(number=numbers, after=afterwards)
    def cut(self, number: int, after: After) -> None:
        server = self.servers()[number % len(self.servers())]
        self.faults.add(server.name.split(".")[0])
        server.cut()
        self.then(after)

    @rule(number=numbers, how=st.sampled_from(("refuse", "silence")), after=afterwards)
    def fail(self, number: int, how: str, after: After) -> None:
        """Until it recovers."""
        server = self.servers()[number % len(self.servers())]
        name = server.name.split(".")[0]
        self.faults.add(name)
        if how == "refuse":
            server.refuse()
        else:
            self.silenced.add(server.name)
            server.silence()
        self.then(after)

    @rule(after=afterwards)
    def recover(self, after: After) -> None:
        """All that failed; but not what is hushed."""
        for host in self.hosts:
            self.start(host)
        for server in self.servers():
            if server.name.split(".")[0] not in self.hushed or server.name in self.by_name:
                server.refuse(False)
                server.silence(False)
        self.silenced.clear()
        self.then(after)

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule(where=numbers)
    def hush(self, where: int) -> None:
        """A source falls silent when all is quiet, and stays so."""
        host = self.host(where)
        if host.node.emitter is None or host.name in self.hushed:
            return
        self.quiet()
        assert host.node.emitter is not None
        host.node.emitter.silence()
        self.hushed[host.name] = self.history[host.name][-1]
        self.hearing |= {
            (other.name, entry)
            for other in self.hosts
            for entry in other.entries
            if entry[0] == host.name
        }

    @precondition(lambda self: self.hushed)
    @rule(number=numbers, after=afterwards)
    def speak_again(self, number: int, after: After) -> None:
        name = sorted(self.hushed)[number % len(self.hushed)]
        self.listen_again(name)
        self.then(after)

    def listen_again(self, name: str) -> None:
        if name not in self.hushed:
            return
        self.faults.add(name)
        del self.hushed[name]
        self.hearing = {(host, entry) for host, entry in self.hearing if entry[0] != name}
        emitter = self.by_name[name].node.emitter
        assert emitter is not None
        emitter.silence(False)

    @rule(moves=st.lists(st.integers(0, 30), min_size=1, max_size=12))
    def nudge(self, moves: list[int]) -> None:
        """Some bytes move, and others do not yet."""
        self.then(moves)

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 11.0, 50.0, 100.0)))
    def wait(self, seconds: float) -> None:
        self.then(seconds)

    def then(self, after: After) -> None:
        self.steps += 1
        match after:
            case "nothing":
                return
            case "settle":
                self.mesh.settle()
            case list():
                servers = self.servers()
                for number in after:
                    servers[number % len(servers)].pump()
                    self.mesh.network.clock.advance(0)
                return
            case float():
                self.mesh.advance(after)
        self.see()

    def see(self) -> None:
        """No byte is under way, so a program knows what its host has told it."""
        for host in self.hosts:
            if host.node.program is None or host.name in self.silenced:
                continue
            controller = host.node.program.controller
            assert controller is not None
            for key in tuple(host.unseen):
                told = controller.host.endpoints.get(key)
                there = host.cluster.model.stores[ENDPOINTS].get(key)
                if there is None or (told is not None and told.version == there.version):
                    host.unseen.discard(key)

    # What the operator does

    @rule(
        where=numbers,
        what=st.sampled_from(("add", "add", "remove", "move", "rename", "redirect")),
        number=numbers,
        other=st.integers(0, 30),
        data=st.data(),
        after=afterwards,
    )
    def configure(
        self, where: int, what: str, number: int, other: int, data: st.DataObject, after: After
    ) -> None:
        """Sources come, go, change places, get another name, or their name another Emitter."""
        host = self.host(where)
        entries = list(host.entries)
        nodes = [*self.by_name, GHOST]
        node = nodes[other % len(nodes)]
        index = number % len(entries) if entries else 0
        if what == "add":
            entries.insert(index, (node, data.draw(settings_of(node, host.policy.naming))))
        elif not entries:
            return
        elif what == "remove":
            del entries[index]
        elif what == "move":
            entries.append(entries.pop(index))
        elif what == "rename":
            node = entries[index][0]
            entries[index] = node, data.draw(settings_of(node, host.policy.naming))
        elif what == "redirect":
            name = entries[index][1].name
            entries[index] = node, SourceSettings(name, url=f"http://{node}.emitter")
        if len({entry[1].name for entry in entries}) < len(entries):
            return
        fresh = set(entries) - set(host.entries)
        host.configurations.append(tuple(entries))
        self.began_anew(host, fresh)
        host.forgotten -= {entry[1].name for entry in entries}
        self.hearing = {
            (name, entry)
            for name, entry in self.hearing
            if name != host.name or entry in host.entries
        }
        host.node.use_sources(*entries)
        self.then(after)

    @rule(where=numbers, number=numbers, after=afterwards)
    def forget(self, where: int, number: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None:
            return
        controller = host.node.program.controller
        assert controller is not None
        configured = {entry[1].name for entry in host.entries}
        owners = (owner_in(host.cluster, key) for key in host.mirrors())
        names = {owner.source for owner in owners if owner is not None} | configured
        if not names:
            return
        name = sorted(names - configured or names)[number % len(names - configured or names)]
        if name in configured:
            with pytest.raises(ValueError, match="is configured"):
                controller.forget(name)
            return
        controller.forget(name)
        host.forgotten.add(name)
        host.ever_forgotten.add(name)
        self.then(after)

    @rule(where=numbers, number=numbers, after=afterwards)
    def release(self, where: int, number: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None or not host.entries:
            return
        controller = host.node.program.controller
        assert controller is not None
        controller.release(host.entries[number % len(host.entries)][1].name)
        self.then(after)

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule(
        where=numbers,
        how=st.sampled_from(("list", "list", "first list", "watch")),
        then=st.sampled_from(("release", "hold over", "return", "leave")),
        more=st.booleans(),
    )
    def delete_all(self, where: int, how: str, then: str, more: bool) -> None:
        """All Services of a source go. Where a list tells so, most of its mirrors are kept for now:
        a source that comes up empty-handed has lost them rather than deleted them."""
        source = self.host(where)
        if source.name in self.hushed or source.node.emitter is None:
            return
        if more:
            self.clear(source, KEYS)
            for key in KEYS:
                self.put_service(source, key, ("ClusterIP", "endpoints", 1, "x"), force=False)
        self.quiet()
        there = [key for resource, key in source.foreign if resource is SERVICES]
        there = [key for key in there if key != "default/kubernetes"]
        hosts = [host for host in self.hosts if source.name in dict(host.entries)]
        stopped = {"list": [source], "first list": hosts, "watch": []}[how]
        for host in stopped:
            self.stop(host)
        behind = [key for key in there if (ENDPOINTS, key) in source.foreign]
        for key in there:
            self.delete_own(source, key, "service")
        self.mesh.settle()  # its own Emitter knows
        for host in stopped:
            self.start(host)
        self.mesh.advance(20.0)
        for host in hosts:
            if host is not source:
                self.check_held(host, source, how)
        if then == "release":
            for host in hosts:
                for node, told in host.entries:
                    if node == source.name and host.node.program is not None:
                        assert host.node.program.controller is not None
                        host.node.program.controller.release(told.name)
        elif then == "return":
            for key in there:
                if source.cluster.get(SERVICES, key) is None:
                    self.put_again(source, SERVICES, key)
                    if key in behind:
                        self.put_again(source, ENDPOINTS, key)
        if then != "leave":
            self.mesh.advance(HOLD + 1.0 if then == "hold over" else 1.0)
            for host in hosts:
                if host is not source and then != "return":
                    for key in self.lost(host, source):
                        assert owner_in(host.cluster, key) is None, f"{key} is held for ever"

    def lost(self, host: Host, source: Host) -> list[str]:
        """The mirrors of it that nobody wants any more by the rules."""
        found = []
        for key, owner in host.owners.items():
            names = [e[1].name for e in host.entries if e[0] == source.name]
            if owner.source not in names or self.blocked(host, key) or key in host.made_owners:
                continue
            if ends({owner}, self.says(host, key), self.host_rules(host)) == {None}:
                found.append(key)
        return found

    def check_held(self, host: Host, source: Host, how: str) -> None:
        for node, told in host.entries:
            if node != source.name:
                continue
            mirrors = [key for key in host.uids if host.owners[key].source == told.name]
            lost = set(self.lost(host, source)) & set(mirrors)
            blocked = any(self.blocked(host, key) for key in mirrors)
            many = len(mirrors) >= LIMITS.least and len(lost) > LIMITS.fraction * len(mirrors)
            for key in lost:
                there = host.cluster.get(SERVICES, key)
                if how != "watch" and many:
                    assert there is not None, f"{key} is deleted in {host.name}: it is one of many"
                    assert there["metadata"]["uid"] == host.uids[key][0]
                    assert self.states(host, key) == {told.name: State.HELD}
                elif how != "first list" and not blocked:
                    assert there is None, f"{key} is held in {host.name}, though it is one of few"

    # What must be

    @invariant()
    def nothing_foreign_is_touched(self) -> None:
        for host in self.hosts:
            found = foreign_in(host.cluster)
            for place in host.foreign.keys() - found.keys():
                resource, key = place
                # The API server takes Endpoints along with a Service; there is no precondition.
                assert resource is ENDPOINTS, f"{place} is gone"
                assert key in host.unseen, f"{place} is gone"
                assert host.cluster.get(SERVICES, key) is None or key not in host.uids
                self.note(host)
            made = found.keys() - host.foreign.keys()
            assert not made, f"{made} is not marked"
            for place, (version, body) in found.items():
                assert host.foreign[place] == (version, body), f"{place} is changed"

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule()
    def be_quiet(self) -> None:
        self.quiet()

    def quiet(self) -> None:
        """Nothing fails any more, but for what is hushed, and time has passed."""
        try:
            self.recover("nothing")
            self.mesh.advance(LONG_ENOUGH)
            self.nothing_foreign_is_touched()
            self.see()
            for host in self.hosts:
                self.check(host)
            self.check_watchers()
            versions = [host.cluster.model.version for host in self.hosts]
            self.mesh.advance(120.0)
            assert versions == [h.cluster.model.version for h in self.hosts], "it does not rest"
        except BaseException:
            self.failed = True
            raise
        for host in self.hosts:
            host.forget_the_past()
            if host.name not in self.hushed:
                del self.history[host.name][:-1]
        self.faults = set()
        self.steps = 0

    def host_rules(self, host: Host, *, ever: bool = False) -> Rules:
        if host.policy.prune:
            return Rules(None)
        return Rules(frozenset(host.ever_forgotten if ever else host.forgotten))

    def answers(self, entry: Entry) -> bool:
        return entry[0] in self.by_name and self.by_name[entry[0]].emits

    def shown(self, host: Host, entry: Entry) -> Snapshot | None:
        """What the program knows of a source once it is quiet, None as long as it is not listed."""
        node, told = entry
        if not self.answers(entry) or (
            node in self.hushed and (host.name, entry) not in self.hearing
        ):
            return None
        return self.hushed.get(node, self.history[node][-1])[told.selector]

    def says(self, host: Host, key: str) -> list[Says]:
        """What is known of the name once it is quiet."""
        found = []
        for entry in host.entries:
            shown, told = self.shown(host, entry), entry[1]
            found.append(
                Says(
                    told.name,
                    told.url,
                    self.claims(host, entry, key, [shown]) if shown is not None else {},
                    frozenset({LISTED if shown is not None else OVERDUE}),
                    frozenset({self.freshness(entry)}),
                )
            )
        return found

    def freshness(self, entry: Entry) -> int:
        patience = entry[1].patience
        if self.answers(entry) and entry[0] not in self.hushed:
            return FRESH
        if patience.remove_after is not None:
            return REMOVED
        return FRESH if patience.stale_after is None else STALE

    def may_say(self, host: Host, entries: Iterable[Entry], key: str) -> list[Says]:
        """What may have been known of the name at some moment since it was quiet last."""
        found = []
        disturbed = bool(self.faults or self.hushed or host.starts)
        for entry in entries:
            node, told = entry
            shown: list[Snapshot] = []
            listing = {LISTED}
            if not self.answers(entry):
                listing = {AWAITED, OVERDUE}
            elif (host.name, entry) in self.hearing:
                shown = [self.hushed[node][told.selector]]
            elif node in self.hushed and entry in host.entries:
                listing = {AWAITED, OVERDUE}
                shown = [s[told.selector] for s in self.history[node]]
            else:
                shown = [s[told.selector] for s in self.history[node]]
            if node in self.hushed and entry not in host.entries:
                listing |= {LISTED}
            if entry in host.new:
                listing.add(AWAITED)
                if node in self.faults or host.starts > 1:
                    listing.add(OVERDUE)
            freshness = {FRESH}
            if disturbed and told.patience.stale_after is not None:
                freshness.add(STALE)
            if disturbed and told.patience.remove_after is not None:
                freshness.add(REMOVED)
            claims = self.claims(host, entry, key, shown)
            found.append(
                Says(told.name, told.url, claims, frozenset(listing), frozenset(freshness))
            )
        return found

    def claims(
        self, host: Host, entry: Entry, key: str, shown: Iterable[Snapshot]
    ) -> dict[str, frozenset[str]]:
        """What the source may say of each of its keys that may have this name in the host.

        A Service and what is behind it come on different streams.
        """
        shown = list(shown)
        found = {}
        for there in sorted({*KEYS, *(one for snapshot in shown for one in snapshot)}):
            if host.host_key(entry[1].name, there) != key:
                continue
            all_of = [snapshot.get(there, Exported()) for snapshot in shown]
            kinds = {
                "" if one.kind and host.refuses(there, key, one.kind) else one.kind
                for one in all_of
            }
            states = {ABSENT} if "" in kinds else set()
            if kinds - {"", "ExternalName"}:
                states |= {BACKED if one.backed else BARE for one in all_of}
            if "ExternalName" in kinds:
                states.add(BACKED)
            found[there] = frozenset(states)
        return found

    def blocked(self, host: Host, key: str) -> bool:
        return (SERVICES, key) in host.foreign or (ENDPOINTS, key) in host.foreign

    def states(self, host: Host, key: str) -> dict[str, State]:
        assert host.node.program is not None
        assert host.node.program.controller is not None
        told = host.node.program.controller.statuses.get(key, {})
        return {source: status.state for source, status in told.items()}

    def check(self, host: Host) -> None:
        for key in host.names():
            try:
                self.check_name(host, key)
            except AssertionError as error:
                raise AssertionError(f"{key} in {host.name}: {error}") from error

    def check_name(self, host: Host, key: str) -> None:
        owner = owner_in(host.cluster, key)
        sources = self.says(host, key)
        if (SERVICES, key) in host.foreign:
            assert not any(map(is_ours, slices_of(host.cluster, key))), "slices of another Service"
        waits = (
            host.cluster.get(NAMESPACES, key.split("/", maxsplit=1)[0]) is None
            and not host.policy.create_namespaces
        )
        if self.blocked(host, key) or waits:
            self.check_states(host, key, sources, None, waits=waits)
            return
        starts = {host.owners.get(key), *host.made_owners.get(key, ())}
        passed = reachable(
            starts,
            [self.may_say(host, entries, key) for entries in host.configurations],
            self.host_rules(host, ever=True),
        )
        allowed = ends(passed, sources, self.host_rules(host))
        assert owner in allowed, f"{owner} has it, not {allowed}; of {starts}, {sources}"
        self.check_states(host, key, sources, owner)
        if owner is None:
            return
        there = host.cluster.get(SERVICES, key)
        kinds = {
            snapshot[selector].get(origin, Exported()).kind
            for shown in self.history.values()
            for snapshot in shown
            for selector in snapshot
            for origin in (*KEYS, *snapshot[selector])
        } - {""}
        if there is not None and key in host.uids and None not in passed and len(kinds) < 2:
            uid, cluster_ip = host.uids[key]
            assert there["metadata"]["uid"] == uid, "it was deleted in between"
            assert there["spec"].get("clusterIP", "") == cluster_ip
        entry = next((e for e in host.entries if e[1].name == owner.source), None)
        shown = self.shown(host, entry) if entry is not None else None
        if entry is not None and shown is not None:
            self.check_mirror(host, key, entry, shown[owner.origin], owner.origin)

    def check_mirror(
        self, host: Host, key: str, entry: Entry, wanted: Exported, origin: str
    ) -> None:
        """It is what its source exports."""
        one = host.cluster.get(SERVICES, key)
        assert one is not None, "there is no Service"
        annotations, labels = texts(one, "annotations"), texts(one, "labels")
        assert annotations.get(ORIGIN, key) == origin
        assert (ORIGIN in annotations) == (origin != key)
        mine = host.additions.get(one["metadata"]["uid"])
        assert labels == {
            **dict(wanted.labels),
            REFLECTED: "true",
            **({"mine": mine} if mine is not None else {}),
        }
        assert kind_of(one) == wanted.kind
        assert [(p["name"], p["port"]) for p in one["spec"].get("ports", ())] == list(wanted.ports)
        assert "selector" not in one["spec"]
        freshness = self.freshness(entry)
        behind = wanted.behind if wanted.kind != "ExternalName" else frozenset()
        if freshness == REMOVED:
            behind = frozenset()
        api = host.policy.endpoints_api
        ready = {b for b in behind if b[1]}
        its_endpoints = host.cluster.get(ENDPOINTS, key)
        if api is EndpointsApi.ENDPOINTSLICES or wanted.kind == "ExternalName":
            assert its_endpoints is None
        else:
            assert its_endpoints is not None, "there are no Endpoints"
            expected = {(ip, freshness != STALE, *port) for ip, _, *port in ready}
            assert behind_endpoints(its_endpoints) == expected
        own = [found for found in slices_of(host.cluster, key) if is_ours(found)]
        if api is EndpointsApi.ENDPOINTS:
            assert not own
            return
        expected = {(ip, told and freshness != STALE, *port) for ip, told, *port in behind}
        if self.has_lost_slices(host, key):
            assert behind_slices(own) <= expected
        else:
            assert behind_slices(own) == expected

    def has_lost_slices(self, host: Host, key: str) -> bool:
        """Whether a person has taken one of the mirror's slices."""
        namespace, name = key.split("/")
        pattern = re.compile(rf"{namespace}/{name}-[a-z2-7]{{12}}")
        return any(r is ENDPOINTSLICES and pattern.fullmatch(k) for r, k in host.foreign)

    def check_states(
        self,
        host: Host,
        key: str,
        sources: list[Says],
        owner: Owner | None,
        *,
        waits: bool = False,
    ) -> None:
        """What people are told."""
        if any(len(source.claims) > 1 for source in sources):
            return
        exporting = {source.name for source in sources if source.may_export}
        found = {n: s for n, s in self.states(host, key).items() if s is not State.REFUSED}
        if self.blocked(host, key):
            assert found == dict.fromkeys(exporting, State.CONFLICT)
        elif owner is None:
            first = {s.name for s in sources if not s.may_lack}
            if not waits or not first:
                assert found == dict.fromkeys(exporting, State.PENDING)
        else:
            expected = dict.fromkeys(exporting, State.STANDBY)
            names = [s for s in sources if s.name == owner.source]
            names = names or [s for s in sources if s.url == owner.source]
            if not names:
                expected[owner.source] = State.ORPHANED
            elif len(names) == 1:
                (freshness,) = names[0].freshness
                told = (State.MIRRORED, State.STALE, State.WITHDRAWN)
                expected[names[0].name] = told[freshness]
            else:
                return
            assert found == expected

    def check_watchers(self) -> None:
        """Each source is watched by those who are to, and by nobody else."""
        for host in self.hosts:
            if not host.emits or host.name in self.hushed or host.node.program is None:
                continue
            api = host.node.program.read_api
            assert api is not None
            followers = sum(entry[0] == host.name for h in self.hosts for entry in h.entries)
            assert api.stats.watchers == 3 * followers, f"watches of {host.name}"

    def teardown(self) -> None:
        if self.hosts and not self.failed:
            for name in tuple(self.hushed):
                self.listen_again(name)
            self.quiet()
        self.mesh.stop()


TestMeshes = Meshes.TestCase
TestMeshes.settings = settings(
    suppress_health_check=[*HealthCheck],
)
