"""What there can be in a namespace: read out of an API server's discovery and its lists.

Nothing is guessed: an answer that is not understood raises :class:`Unclear`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from ..kube.objects import Json
from ..kube.resources import Resource

#: Groups that show figures of objects and keep none of their own. Nobody can put anything there,
#: and they are away whenever the adapter is that computes them.
VIEWS = frozenset({"custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"})

#: Notes about other objects, which go by themselves within hours: by group and plural.
NOTES = frozenset({("", "events"), ("events.k8s.io", "events")})

#: May stand in a path as it is.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Unclear(Exception):
    """It is not known what there is; the message says why."""


def group_versions(groups: object) -> list[tuple[str, str]]:
    """The ``(group, version)`` to ask for their resources, a group's preferred version first.

    :param groups: the APIGroupList of ``/apis``; the core group, which it lacks, is the first.
    :raises Unclear: for anything else.
    """
    found = [("", "v1")]
    for group in _objects(groups, "APIGroupList", "groups"):
        name = _plain(group.get("name"))
        if name in VIEWS:
            continue
        versions = group.get("versions")
        if not isinstance(versions, list) or not versions:
            raise Unclear(f"the group {name} has no versions")
        names = [_version(entry) for entry in versions]
        preferred = _version(group.get("preferredVersion", versions[0]))
        found += [(name, version) for version in dict.fromkeys([preferred, *names])]
    return found


def listable(documents: Iterable[tuple[str, str, object]]) -> tuple[Resource, ...]:
    """The resources whose objects are in namespaces: each once, without subresources and NOTES.

    Reviews and bindings are questions, not objects: they can only be created, and are left out.

    :param documents: group, version and APIResourceList, in the order of :func:`group_versions`.
    :raises Unclear: for anything else, and where there may be objects that nobody can list: the
        deletion of a namespace would reach them.
    """
    found: dict[tuple[str, str], Resource] = {}
    hidden: set[tuple[str, str]] = set()
    for group, version, document in documents:
        for entry in _objects(document, "APIResourceList", "resources"):
            name, namespaced = entry.get("name"), entry.get("namespaced")
            if not isinstance(name, str) or not isinstance(namespaced, bool):
                raise Unclear(f"{group or 'core'}/{version} has a resource without name or scope")
            if not namespaced or "/" in name or (group, name) in NOTES:
                continue
            verbs = entry.get("verbs") or []
            if not isinstance(verbs, list):
                raise Unclear(f"the verbs of {name[:80]} are no list")
            place = (group, _plain(name))
            if "list" in verbs:
                kind = str(entry.get("kind") or name)
                found.setdefault(place, Resource(group, version, name, name, kind))
            elif "delete" in verbs or "deletecollection" in verbs:
                hidden.add(place)
    for group, name in sorted(hidden - found.keys()):
        raise Unclear(f"{name} of {group or 'core'} can be deleted, but not listed")
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Page:
    """
    :ivar items: each with a metadata.
    :ivar continue_token: ``""`` on the last page.
    """

    items: tuple[Json, ...]
    continue_token: str = ""


def page_of(body: bytes) -> Page:
    """A list of whatever kind.

    :raises Unclear: for what is not certainly one.
    """
    document = parsed(body)
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(kind, str) or not kind.endswith("List"):
        raise Unclear("the answer is no list")
    items = _objects(document, kind, "items")
    metadata = document.get("metadata") or {}
    token = (metadata.get("continue") or "") if isinstance(metadata, dict) else None
    if not isinstance(token, str) or not all(isinstance(i.get("metadata"), dict) for i in items):
        raise Unclear("the list is malformed")
    return Page(tuple(items), token)


def parsed(body: bytes) -> object:
    """
    :raises Unclear: for what is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unclear("the answer is no JSON") from None


def _objects(document: object, kind: str, member: str) -> list[Json]:
    if isinstance(document, dict) and document.get("kind") == kind and member in document:
        # null is Go's empty list: kube-apiserver 1.20 answers so for no PartialObjectMetadata.
        found = [] if document[member] is None else document[member]
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return found
    raise Unclear(f"the answer is no {kind[:80]}")


def _version(entry: object) -> str:
    return _plain(entry.get("version") if isinstance(entry, dict) else None)


def _plain(name: object) -> str:
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        return name
    raise Unclear("a group, version or resource has a name that cannot stand in a path")
