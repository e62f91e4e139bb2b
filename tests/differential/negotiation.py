"""What the Accept header asks for, and gets."""

from __future__ import annotations

from .cases import PARTIAL, PARTIAL_LIST, PROTOBUF, TABLE, Case, accept

_KUBECTL = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
_BETA = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"

_TYPES = {
    "json": "application/json",
    "anything": "*/*",
    "empty": "",
    "some application": "application/*",
    "text": "text/html",
    "text or anything": "text/html,*/*",
    "text or json": "text/html, application/json",
    "json by weight": "text/html;q=0.9, application/json;q=0.1",
    "json with a charset": "application/json; charset=utf-8",
    "json as stream": "application/json;stream=watch",
    "json of another version": "application/json;v=v2",
    "nonsense": "nonsense",
    "Table": TABLE,
    "Table v1beta1": _BETA,
    "Table v2": "application/json;as=Table;v=v2;g=meta.k8s.io",
    "Table of another group": "application/json;as=Table;v=v1;g=example.org",
    "Table without a group": "application/json;as=Table;v=v1",
    "Table in other order": "application/json;g=meta.k8s.io;v=v1;as=Table",
    "as kubectl asks": _KUBECTL,
    "PartialObjectMetadata": PARTIAL,
    "PartialObjectMetadataList": PARTIAL_LIST,
    "PartialObjectMetadata v1beta1": PARTIAL.replace("v1", "v1beta1"),
    "List v1beta1": PARTIAL_LIST.replace("v1", "v1beta1"),
    "unknown transformation": "application/json;as=Chair;v=v1;g=meta.k8s.io",
    "unknown transformation or json": "application/json;as=Chair;v=v1,application/json",
    "APIGroupDiscoveryList": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
}

_CELLS = ("cart", "till", "out", "gate", "wait", "node", "bare")

CASES: tuple[Case, ...] = (
    *(Case(f"list: {name}", headers=accept(value)) for name, value in _TYPES.items()),
    *(Case(f"get: {name}", "{ns}/cart", headers=accept(value)) for name, value in _TYPES.items()),
    *(Case(f"cells of {name}", "{ns}/" + name, headers=accept(TABLE)) for name in _CELLS),
    Case("Table of all", "{all}", headers=accept(TABLE)),
    Case("Table by pages", query="limit=2", headers=accept(TABLE)),
    Case("Table of nothing", query="labelSelector=x=y", headers=accept(TABLE)),
    *(
        Case(
            f"Table with includeObject={value}",
            query=f"limit=2&includeObject={value}",
            headers=accept(TABLE),
        )
        for value in ("Metadata", "Object", "None", "", "x", "object")
    ),
    Case(
        "row with includeObject=Object", "{ns}/cart", "includeObject=Object", headers=accept(TABLE)
    ),
    Case("row with includeObject=None", "{ns}/cart", "includeObject=None", headers=accept(TABLE)),
    Case("row with includeObject=x", "{ns}/cart", "includeObject=x", headers=accept(TABLE)),
    Case("no Table with includeObject=x", query="includeObject=x"),
    Case("PartialObjectMetadataList by pages", query="limit=2", headers=accept(PARTIAL_LIST)),
    Case("Table of what is not there", "{ns}/nobody", headers=accept(TABLE)),
    Case("metadata of what is not there", "{ns}/nobody", headers=accept(PARTIAL)),
    # 1.20 built with Go 1.19 crashes on these: see differences.py.
    *(
        Case(f"{name} of {what}", path, query, headers=headers, since=21)
        for what, path in {"a list": "{ns}", "an object": "{ns}/cart"}.items()
        for name, query, headers in (
            ("yaml", "", accept("application/yaml")),
            ("yaml Table", "", accept(TABLE.replace("json", "yaml"))),
            ("pretty", "pretty=1", {}),
            ("pretty by type", "", accept("application/json;pretty=1")),
            ("pretty for curl", "", {"User-Agent": "curl/8"}),
        )
    ),
    Case("export", "{ns}/cart", "export=1", since=21),
    Case("error as text", "{ns}/nobody", headers=accept("text/html")),
    Case("error as nonsense", "{ns}", "labelSelector=,", headers=accept("nonsense")),
    Case("error as a Table", "{ns}", "labelSelector=,", headers=accept(TABLE)),
    Case("watch as text", "{ns}", "watch=1&timeoutSeconds=1", headers=accept("text/html")),
    Case(
        "watch as an unknown transformation",
        "{ns}",
        "watch=1&timeoutSeconds=1",
        headers=accept(_TYPES["unknown transformation"]),
    ),
    Case(
        "error of protobuf or json",
        "{ns}/nobody",
        headers=accept(f"text/html,{PROTOBUF};q=0.1,application/json"),
    ),
)
