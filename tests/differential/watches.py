"""Watches: where they begin, what they tell, how they end."""

from __future__ import annotations

from .cases import PARTIAL, TABLE, Case, accept, watch

_OTHER = "{group}/watch"

CASES: tuple[Case, ...] = (
    watch("unset", unordered=True),
    watch("unset in all namespaces", path="{all}", unordered=True),
    watch("0", "resourceVersion=0", unordered=True),
    watch("now", "resourceVersion={now}"),
    watch("from the past", "resourceVersion={created}"),
    watch("from the past in all namespaces", "resourceVersion={created}", path="{all}"),
    watch("from the first version", "resourceVersion={floor}"),
    watch("too old", "resourceVersion=1"),
    watch("too old in all namespaces", "resourceVersion=1", path="{all}"),
    watch("of the future", "resourceVersion={future}"),
    watch("at no version", "resourceVersion=abc"),
    watch("at a negative version", "resourceVersion=-1"),
    watch("match", "resourceVersion={now}&resourceVersionMatch=NotOlderThan"),
    watch("match without a version", "resourceVersionMatch=NotOlderThan"),
    watch("limit", "resourceVersion={created}&limit=1"),
    watch("continue", "resourceVersion={created}&continue=abc"),
    watch("limit no number", "limit=abc"),
    watch("timeoutSeconds negative", "resourceVersion={now}&timeoutSeconds=-1"),
    watch("timeoutSeconds no number", "timeoutSeconds=abc"),
    watch("timeout ignored", "resourceVersion={now}&timeout=x"),
    watch("sendInitialEvents", "sendInitialEvents=true", unordered=True),
    watch(
        "sendInitialEvents with bookmarks",
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        "&timeoutSeconds=3",
        unordered=True,
    ),
    watch("sendInitialEvents=false", "sendInitialEvents=false&resourceVersion={now}"),
    watch("come and go", "resourceVersion={now}", act="come_and_go", events=4),
    watch("come and go in all", "resourceVersion={now}", path="{all}", act="come_and_go", events=4),
    watch("come and go from the past", "resourceVersion={created}", act="come_and_go", events=8),
    watch(
        "labels: out and in",
        "resourceVersion={now}&labelSelector=app=cart",
        act="move_out_and_in",
        events=2,
    ),
    watch(
        "labels: in and out",
        "resourceVersion={now}&labelSelector=app=moved",
        act="move_out_and_in",
        events=3,
    ),
    watch(
        "labels: none",
        "resourceVersion={now}&labelSelector=!app,!tier&timeoutSeconds=2",
        act="move_out_and_in",
    ),
    watch("labels from the past", "resourceVersion={floor}&labelSelector=app=cart"),
    watch("labels to the past", "resourceVersion={floor}&labelSelector=app=moved"),
    watch("labels unset", "labelSelector=tier=web", unordered=True),
    watch("a name", "fieldSelector=metadata.name=cart"),
    watch("a name from the past", "resourceVersion={floor}&fieldSelector=metadata.name=gone"),
    watch(
        "a name that comes and goes",
        "resourceVersion={now}&fieldSelector=metadata.name=fleeting",
        act="come_and_go",
        events=3,
    ),
    watch("a namespace", "fieldSelector=metadata.namespace=diff-{plural}-b", path="{all}"),
    watch("a namespace that is not there", path="{group}/namespaces/nowhere/{plural}"),
    watch(
        "bookmarks",
        "resourceVersion={now}&allowWatchBookmarks=true&timeoutSeconds=4",
        act="touch_cart",
    ),
    watch(
        "bookmarks where nothing fits",
        "resourceVersion={now}&allowWatchBookmarks=true&timeoutSeconds=4&labelSelector=x=y",
        act="touch_cart",
    ),
    watch(
        "bookmarks of the past",
        "resourceVersion={created}&allowWatchBookmarks=true&timeoutSeconds=4",
    ),
    watch(
        "bookmarks of a quiet time",
        "resourceVersion={now}&allowWatchBookmarks=true&timeoutSeconds=3",
    ),
    watch(
        "bookmarks as a Table",
        "resourceVersion={now}&allowWatchBookmarks=true&timeoutSeconds=4&labelSelector=x=y",
        headers=accept(TABLE),
        act="touch_cart",
    ),
    watch("too old as a Table", "resourceVersion=1", headers=accept(TABLE)),
    watch("Table", headers=accept(TABLE), unordered=True),
    watch(
        "Table: come and go",
        "resourceVersion={now}",
        headers=accept(TABLE),
        act="come_and_go",
        events=4,
    ),
    watch(
        "Table of objects",
        "resourceVersion={created}&includeObject=Object",
        headers=accept(TABLE),
    ),
    watch(
        "Table of nothing", "resourceVersion={created}&includeObject=None", headers=accept(TABLE)
    ),
    watch("PartialObjectMetadata", "resourceVersion={created}", headers=accept(PARTIAL)),
    watch("no gzip", "resourceVersion={created}", headers={"Accept-Encoding": "gzip"}),
    watch("legacy path", path=_OTHER + "/namespaces/{namespace}/{plural}", unordered=True),
    watch("legacy path of all", path=_OTHER + "/{plural}", unordered=True),
    watch("legacy path of a name", path=_OTHER + "/namespaces/{namespace}/{plural}/cart"),
    watch(
        "legacy path from the past",
        "resourceVersion={floor}",
        path=_OTHER + "/namespaces/{namespace}/{plural}/gone",
    ),
    watch(
        "legacy path with watch=false",
        "watch=false&resourceVersion={now}",
        path=_OTHER + "/namespaces/{namespace}/{plural}",
    ),
    watch(
        "legacy path of a name and a selector of another",
        "fieldSelector=metadata.name=till",
        path=_OTHER + "/namespaces/{namespace}/{plural}/cart",
    ),
    watch(
        "legacy path of a name that is not there",
        path=_OTHER + "/namespaces/{namespace}/{plural}/nobody",
    ),
    watch(
        "legacy path and sendInitialEvents",
        "sendInitialEvents=true",
        path=_OTHER + "/namespaces/{namespace}/{plural}",
        unordered=True,
    ),
    watch("a bad label selector", "labelSelector=,"),
    watch("a bad field selector", "fieldSelector=spec.x=1"),
)
