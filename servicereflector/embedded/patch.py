"""PATCH: JSON merge patches (RFC 7386), and of strategic merge patches what Services need."""

from __future__ import annotations

from typing import Any

from ..kube.objects import Json
from ..kube.status import ApiError, bad_request

#: Lists that a strategic merge patch merges by a member of their items: k8s.io/api's patchMergeKey.
_MERGE_KEYS = {"ports": "port", "conditions": "type", "ownerReferences": "uid"}

#: Lists of plain values that a strategic merge patch unites.
_UNITED = {"finalizers"}

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def apply_patch(content_type: str, document: Json, patch: Json) -> Json:
    """The patched document; both arguments may be changed.

    :raises ApiError: 415 for another kind of patch, 400 for an unusable one.
    """
    if content_type not in (MERGE, STRATEGIC):
        raise ApiError(
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            f"{MERGE}, {STRATEGIC}",
        )
    merged: Json = _merge(document, patch, content_type == STRATEGIC)
    return merged


def _merge(target: Any, patch: Any, strategic: bool) -> Any:
    if not isinstance(patch, dict):
        return patch
    if strategic and patch.pop("$patch", None) == "replace":
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if strategic and name.startswith("$"):
            continue  # $setElementOrder and $retainKeys order what is there anyway
        if value is None:
            merged.pop(name, None)
        elif strategic and isinstance(value, list) and name in _MERGE_KEYS:
            merged[name] = _merge_list(merged.get(name) or [], value, _MERGE_KEYS[name])
        elif strategic and isinstance(value, list) and name in _UNITED:
            merged[name] = list(dict.fromkeys([*(merged.get(name) or []), *value]))
        else:
            merged[name] = _merge(merged.get(name), value, strategic)
    return merged


def _merge_list(target: list[Any], patch: list[Any], key: str) -> list[Any]:
    if any(not isinstance(item, dict) for item in patch):
        raise bad_request("a strategic merge patch of this list takes objects only")
    if {"$patch": "replace"} in patch:
        return [item for item in patch if "$patch" not in item]
    merged = {item.get(key): item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = _merge(merged.get(item.get(key)), item, True)
    return list(merged.values())
