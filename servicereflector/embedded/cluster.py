"""What the writes of a Kubernetes API do to its objects: plain values in, plain values out.

One counter of resourceVersions for the whole cluster, as etcd has it; optimistic concurrency;
preconditions; and of the Service logic what a mirror can notice. The rules and texts are those of
k8s.io/apiserver's generic registry and of pkg/registry/core/service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..kube.objects import Json, Record, key_of, record_of
from ..kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    EVENTS,
    LEASES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from ..kube.status import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from ..kube.watchevents import EventType
from ..store.versioned import Store
from .services import ServiceRules
from .slices import admit_slice
from .validation import check_name, normalise, unversioned

STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)

#: What the API server sets; a client's own values are ignored.
_SERVER_SET = ("uid", "creationTimestamp", "selfLink", "managedFields", "generation")

#: What a PUT creates where it is not there; of the others it is refused.
_CREATED_BY_UPDATE = (ENDPOINTS, EVENTS, LEASES)

#: All that there is in a cluster, unless told otherwise.
RESOURCES = (NAMESPACES, SERVICES, ENDPOINTS, ENDPOINTSLICES, EVENTS, LEASES)


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the object for a delete to happen; ``""`` for no matter."""

    uid: str = ""
    resource_version: str = ""


class Cluster:
    """
    :param now: the time as metadata.creationTimestamp writes it.
    :param uid: a fresh uid.
    :param service_range: the CIDR that clusterIPs are allocated from; of a dual-stack cluster two,
        with a comma between them, the first family's first.
    """

    def __init__(
        self,
        *,
        now: Callable[[], str],
        uid: Callable[[], str],
        service_range: str = "10.96.0.0/16",
        resources: Iterable[Resource] = RESOURCES,
    ) -> None:
        self._now = now
        self._uid = uid
        self._version = 0
        self._services = ServiceRules(service_range)
        self.stores = {resource: Store(resource) for resource in resources}
        for store in self.stores.values():
            store.replace((), 1)
        self._version = 1
        for namespace in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self.create(NAMESPACES, "", {"metadata": {"name": namespace}})
        self.create(SERVICES, "default", self._services.kubernetes())

    @property
    def version(self) -> int:
        """The newest resourceVersion of any object."""
        return self._version

    def create(
        self, resource: Resource, namespace: str, document: Json, *, dry_run: bool = False
    ) -> Record:
        """
        :param dry_run: to be told what would come of it; of a Service, without addresses.
        :raises ApiError: 400, 404 (no such namespace), 409 (AlreadyExists), 422, or 500 for an
            object that has a version already.
        """
        metadata = self._metadata(resource, namespace, document)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{self._uid()[:5]}"
        name = metadata.get("name") or ""
        if metadata.get("resourceVersion"):
            raise ApiError(
                500, "resourceVersion should not be set on objects to be created", reason=""
            )
        if namespace and self.stores[NAMESPACES].get(namespace) is None:
            raise not_found(NAMESPACES, namespace)
        check_name(resource, name)
        if resource is SERVICES:
            self._services.check_range(document)
        if self.stores[resource].get(key_of(namespace, name)) is not None:
            raise already_exists(resource, name)
        for member in _SERVER_SET:
            metadata.pop(member, None)
        metadata["uid"] = self._uid()
        metadata["creationTimestamp"] = self._now()
        normalise(resource, document)
        if dry_run:
            return record_of(resource, document)
        if resource is SERVICES:
            self._services.admit(document, None)
        if resource is ENDPOINTSLICES:
            admit_slice(document, None)
        return self._put(resource, document)

    def update(self, resource: Resource, namespace: str, name: str, document: Json) -> Record:
        """
        :raises ApiError: 400, 404, 409 (another version, another uid) or 422.
        """
        metadata = self._metadata(resource, namespace, document)
        if metadata.setdefault("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the "
                f"URL ({name})"
            )
        current = self.stores[resource].get(key_of(namespace, name))
        uid = metadata.get("uid")
        if current is None:
            if uid:
                raise conflict(resource, name, _uid_differs(uid, ""))
            if resource in _CREATED_BY_UPDATE:
                metadata.pop("resourceVersion", None)
                return self.create(resource, namespace, document)
            raise not_found(resource, name)
        if uid and uid != current.uid:
            raise conflict(resource, name, _uid_differs(uid, current.uid))
        told = metadata.get("resourceVersion")
        if resource is LEASES and not told:
            raise unversioned(resource, name)
        if told and told != str(current.version):
            raise conflict(resource, name, STALE)
        before = current.document()
        for member in _SERVER_SET:
            metadata.pop(member, None)
            if member in before["metadata"]:
                metadata[member] = before["metadata"][member]
        normalise(resource, document, before)
        if resource is SERVICES:
            self._services.admit(document, before)
        if resource is ENDPOINTSLICES:
            admit_slice(document, before)
        metadata["resourceVersion"] = str(current.version)
        document.pop("kind", None)
        document.pop("apiVersion", None)
        if document == before:  # the API server does not write what changes nothing
            return current
        return self._put(resource, document)

    def delete(
        self, resource: Resource, namespace: str, name: str, wanted: Preconditions | None = None
    ) -> Record:
        """The object as it was. A Service takes the Endpoints of its name along, a Namespace all
        that is in it.

        :raises ApiError: 404, or 409 where a precondition does not hold.
        """
        current = self.stores[resource].get(key_of(namespace, name))
        if current is None:
            raise not_found(resource, name)
        if wanted is not None:
            if wanted.uid and wanted.uid != current.uid:
                raise _unmet(resource, name, "UID", wanted.uid, current.uid)
            version = str(current.version)
            if wanted.resource_version and wanted.resource_version != version:
                raise _unmet(resource, name, "ResourceVersion", wanted.resource_version, version)
        if resource is NAMESPACES:
            self._empty(name)
        self._remove(resource, current)
        endpoints = self.stores[ENDPOINTS].get(current.key)
        if resource is SERVICES and endpoints is not None:
            self._remove(ENDPOINTS, endpoints)
        return current

    def _empty(self, namespace: str) -> None:
        for resource, store in self.stores.items():
            if resource.namespaced:
                for key in store.keys_in(namespace):
                    record = store.get(key)
                    assert record is not None
                    self._remove(resource, record)

    def _remove(self, resource: Resource, record: Record) -> None:
        self._version += 1
        if resource is SERVICES:
            self._services.release(record.document())
        self.stores[resource].apply(EventType.DELETED, record.at_version(self._version))

    def _put(self, resource: Resource, document: Json) -> Record:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        record = record_of(resource, document)
        # Whether it is an addition is the store's to know.
        self.stores[resource].apply(EventType.MODIFIED, record)
        return record

    @staticmethod
    def _metadata(resource: Resource, namespace: str, document: Json) -> Json:
        kind = document.get("kind")
        if kind not in (None, resource.kind):
            raise bad_request(
                f"{kind} in version {document.get('apiVersion')} cannot be handled as a "
                f"{resource.kind}: expected {resource.kind}"
            )
        metadata = document.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise invalid(resource.kind, "", ("metadata", "FieldValueInvalid", "no object"))
        if resource.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        return metadata


def _unmet(resource: Resource, name: str, what: str, wanted: str, actual: str) -> ApiError:
    """A delete's precondition that does not hold: here the API names the kind, not the resource
    (apiserver registry/rest, BeforeDelete)."""
    since = "deleted and then recreated" if what == "UID" else "modified"
    return ApiError(
        409,
        f'Operation cannot be fulfilled on {resource.kind} "{name}": the {what} in the '
        f"precondition ({wanted}) does not match the {what} in record ({actual}). "
        f"The object might have been {since}",
        details={"name": name, "kind": resource.kind},
    )


def _uid_differs(wanted: str, actual: str) -> str:
    return f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
