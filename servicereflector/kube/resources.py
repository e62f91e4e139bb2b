"""The resources that the program reads or writes, and where the API keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one API group version, as a discovery document names it."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """``v1`` for the core group, else ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return self.kind if self.kind.endswith("List") else self.kind + "List"

    @property
    def qualified(self) -> str:
        """The name that error messages use: ``endpointslices.discovery.k8s.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path of the group version: ``/api/v1`` or ``/apis/<group>/<version>``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the collection, or of one object when ``name`` is given."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


SERVICES = Resource("", "v1", "services", "service", "Service", ("svc",), categories=("all",))
ENDPOINTS = Resource("", "v1", "endpoints", "endpoints", "Endpoints", ("ep",))
NAMESPACES = Resource("", "v1", "namespaces", "namespace", "Namespace", ("ns",), namespaced=False)
EVENTS = Resource("", "v1", "events", "event", "Event", ("ev",))
ENDPOINTSLICES = Resource(
    "discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", ()
)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "lease", "Lease")
