"""Discovery documents: what is served, in the words that clients look for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..kube.resources import Resource

Json = dict[str, Any]

READING = ("get", "list", "watch")
WRITING = ("create", "delete", "get", "list", "patch", "update", "watch")


def core_versions() -> Json:
    """``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
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


def resources_of(group_version: str, resources: Iterable[Resource], verbs: tuple[str, ...]) -> Json:
    """``/api/v1`` or ``/apis/<group>/<version>``."""
    entries = []
    for resource in sorted(resources, key=lambda r: r.plural):
        if resource.api_version != group_version:
            continue
        entry: Json = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        entries.append(entry)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }
