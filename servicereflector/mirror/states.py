"""What is known of one name: what each source says of it, what the host has, what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..kube.objects import Record
from ..kube.slices import MANAGED_BY, MANAGER
from ..reasons import Code
from .addresses import NOTHING, Reserved
from .admission import EVERYTHING, Admission
from .copying import is_external
from .freshness import Freshness


class State(str, Enum):
    """What has become of one exported Service."""

    MIRRORED = "Mirrored"
    PENDING = "Pending"
    STANDBY = "Standby"
    CONFLICT = "Conflict"
    HELD = "Held"
    STALE = "Stale"
    WITHDRAWN = "Withdrawn"
    ORPHANED = "Orphaned"
    REFUSED = "Refused"
    REJECTED = "Rejected"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Status:
    """A state and its reason.

    :ivar code: the reason in one word, for alerts and docs/reasons.md.
    :ivar reason: a sentence for people.
    :ivar noteworthy: whether people should hear of it where the state alone is no reason to.
    :ivar refused: how many addresses were left out of the mirror.
    """

    state: State
    code: Code
    reason: str = ""
    noteworthy: bool = False
    refused: int = 0


@dataclass(frozen=True, slots=True)
class SourceState:
    """What one source says of one name of the host.

    :ivar synced: whether its first complete lists are in.
    :ivar awaited: whether they are not, but are expected to be any moment now.
    :ivar service: under the key that it has in the source, which need not be the host's.
    :ivar slices: those whose label names the Service.
    :ivar aliases: what mirrors of it may name as their source beside its name.
    :ivar freshness: whether the source has fallen silent.
    :ivar held: whether its mirror of the name, and what is behind it, is not to be deleted for now.
    :ivar rejected: whether what its mirror was made of is not known, because it was rejected.
    :ivar rivals: the keys of other Services of the source that would have the same name.
    :ivar admission: what the operator says of this source.
    """

    name: str
    synced: bool
    service: Record | None = None
    endpoints: Record | None = None
    awaited: bool = False
    slices: tuple[Record, ...] = ()
    aliases: frozenset[str] = frozenset()
    freshness: Freshness = Freshness.FRESH
    held: bool = False
    rivals: tuple[str, ...] = ()
    admission: Admission = EVERYTHING
    rejected: bool = False

    @property
    def exports(self) -> bool:
        if not self.synced or self.rejected or self.service is None:
            return False
        return is_exported(self.service)

    @property
    def told(self) -> bool:
        """Whether it is known if the source exports the name."""
        return self.synced and not self.rejected

    @property
    def complete(self) -> bool:
        """Whether there is something to mirror: a Service waits for its Endpoints or a slice."""
        if not self.exports:
            return False
        return self.endpoints is not None or bool(self.slices) or self.is_external

    @property
    def is_external(self) -> bool:
        return self.service is not None and is_external(self.service.document().get("spec") or {})

    def answers_to(self, name: str) -> bool:
        """Whether a mirror that names this as its source is this source's."""
        return name == self.name or name.rstrip("/") in self.aliases


@dataclass(frozen=True, slots=True)
class HostState:
    """What the host has under one name.

    :ivar slices: all that name the Service, whoever made them.
    :ivar reserved: the addresses that are the host's own.
    """

    namespace: Record | None = None
    service: Record | None = None
    endpoints: Record | None = None
    slices: tuple[Record, ...] = ()
    reserved: Reserved = NOTHING

    @property
    def held(self) -> Record | None:
        """By its source it tells whose the name is."""
        return self.service or self.endpoints or next(iter(self.own_slices), None)

    @property
    def backed(self) -> bool:
        """Whether a mirror has Endpoints, or slices that the program made."""
        return self.endpoints is not None or bool(self.own_slices)

    @property
    def own_slices(self) -> tuple[Record, ...]:
        """Those that the program made: a controller of the host may have made others."""
        return tuple(
            record
            for record in self.slices
            if record.source is not None and record.labels.get(MANAGED_BY) == MANAGER
        )


def is_exported(service: Record) -> bool:
    """Never a mirror, or a mesh of clusters would keep a deleted Service alive for ever; never the
    cluster's own API."""
    own_api = service.name == "kubernetes" and service.namespace == "default"
    return not service.reflected and not own_api
