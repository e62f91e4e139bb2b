"""Discovery documents: what is served, in the words that clients look for.

There is no OpenAPI: only ``kubectl explain`` and writes want it, and a 404 for ``/openapi/v3`` and
``/openapi/v2`` is what clients of old servers are used to.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha512
from typing import Any

from ..kube.resources import Resource
from ..kube.server import ServerInfo

Json = dict[str, Any]

READING = ("get", "list", "watch")
WRITING = ("create", "delete", "get", "list", "patch", "update", "watch")


def core_versions(address: str) -> Json:
    """``/api``.

    :param address: the ``host:port`` at which the client has reached us.
    """
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(resources: Iterable[Resource]) -> Json:
    """``/apis``."""
    named = {(r.group, r.version) for r in resources if r.group}
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group(name, version) for name, version in sorted(named)],
    }


def group(name: str, version: str) -> Json:
    """``/apis/<group>``, without its kind."""
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def resources_of(
    group_version: str, resources: Iterable[Resource], verbs: tuple[str, ...], server: ServerInfo
) -> Json:
    """``/api/v1`` or ``/apis/<group>/<version>``, in the upstream's words where they are known."""
    entries = [
        {**(server.entry(resource) or _entry(resource)), "verbs": list(verbs)}
        for resource in _ordered(resources)
        if resource.api_version == group_version
    ]
    # The core group's list is older than the custom to tell its own version.
    own_version = {"apiVersion": "v1"} if "/" in group_version else {}
    return {
        "kind": "APIResourceList",
        **own_version,
        "groupVersion": group_version,
        "resources": entries,
    }


def aggregated(resources: Iterable[Resource], verbs: tuple[str, ...], *, core: bool) -> Json:
    """``/api`` (the core group) or ``/apis`` (the others) with all that is below it."""
    found: dict[str, dict[str, list[Json]]] = {}
    for resource in _ordered(resources):
        if core != bool(resource.group):
            versions = found.setdefault(resource.group, {})
            versions.setdefault(resource.version, []).append(_aggregated(resource, verbs))
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {},
                "versions": [
                    {"version": version, "resources": entries, "freshness": "Current"}
                    for version, entries in versions.items()
                ],
            }
            for name, versions in sorted(found.items())
        ],
    }


def etag(body: bytes) -> str:
    """The ETag of a document, in its quotes: SHA-512 in capitals, as kube-apiserver makes it."""
    return f'"{sha512(body).hexdigest().upper()}"'


def _aggregated(resource: Resource, verbs: tuple[str, ...]) -> Json:
    return {
        "resource": resource.plural,
        # Of a resource's own kind the API server leaves group and version to the document's.
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(verbs),
        **_names(resource),
    }


def _entry(resource: Resource) -> Json:
    return {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        **_names(resource),
    }


def _names(resource: Resource) -> Json:
    """The lists that are left out where they are empty."""
    told = {"shortNames": resource.short_names, "categories": resource.categories}
    return {name: list(names) for name, names in told.items() if names}


def _ordered(resources: Iterable[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda r: r.plural)
