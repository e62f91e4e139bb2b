"""What the operator has decided about mirrors, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .breaker import Limits
from .naming import Naming


class EndpointsApi(str, Enum):
    """In which API a mirror's addresses are written. A Service of the host's own has both."""

    BOTH = "both"
    ENDPOINTS = "endpoints"
    ENDPOINTSLICES = "endpointslices"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    :ivar prune: whether mirrors of sources that are not configured are deleted.
    :ivar spared: names of sources whose mirrors are not, because they are configured, only not
        usable now; None as long as these names are not known.
    :ivar forgotten: names of sources whose mirrors are deleted all the same.
    :ivar endpoints_api: in which API addresses are written.
    :ivar external_names: whether Services of the type ExternalName are mirrored.
    :ivar hints: whether the zone hints of a source's slices are copied.
    :ivar namespaces: globs of the sources' namespaces that are mirrored; none for all.
    :ivar denied_namespaces: globs of namespaces that are not mirrored, nor mirrored into.
    :ivar create_namespaces: whether a namespace that the host lacks is created.
    :ivar ignored_labels: globs of labels that are not copied, beside the usual ones.
    :ivar ignored_annotations: the same of annotations.
    :ivar naming: how a source's Services are called in the host.
    :ivar limits: from when on the deletions that one list leads to are held.
    """

    prune: bool = False
    spared: frozenset[str] | None = frozenset()
    forgotten: frozenset[str] = frozenset()
    endpoints_api: EndpointsApi = EndpointsApi.BOTH
    external_names: bool = True
    hints: bool = False
    namespaces: tuple[str, ...] = ()
    denied_namespaces: tuple[str, ...] = ()
    create_namespaces: bool = True
    ignored_labels: tuple[str, ...] = ()
    ignored_annotations: tuple[str, ...] = ()
    naming: Naming = field(default_factory=Naming)
    limits: Limits = field(default_factory=Limits)

    def deletes_orphans_of(self, source: str) -> bool:
        """Whether the mirrors of a source of this name, which there is not, are deleted."""
        gone = self.spared is not None and source not in self.spared
        return source in self.forgotten or (self.prune and gone)


#: What holds where the operator says nothing.
DEFAULT = Policy()
