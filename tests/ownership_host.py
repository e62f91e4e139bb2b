"""A host of the machine of ownership: what happened there since it was quiet last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ownership_model import (
    Owner,
    documents,
    is_ours,
    key_in,
    owner_in,
    texts,
)

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.kube.slices import SERVICE_NAME
from servicereflector.listwatch.machine import Timing
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.freshness import Patience
from servicereflector.mirror.policy import Policy
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import MemoryCluster, Node

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
