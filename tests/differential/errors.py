"""What is not there, what may not be done, and paths that lead nowhere."""

from __future__ import annotations

from .cases import Case, accept

_NAMESPACED = "{group}/namespaces/{namespace}/{plural}"

CASES: tuple[Case, ...] = (
    Case("no such object", "{ns}/nobody"),
    Case("no such object in no such namespace", "{group}/namespaces/nowhere/{plural}/nobody"),
    Case("no such resource", "{group}/chairs"),
    Case("no such resource in a namespace", "{group}/namespaces/{namespace}/chairs"),
    Case("no such resource for a browser", "{group}/chairs", headers=accept("text/html")),
    Case("no such object of no such resource", "{group}/namespaces/{namespace}/chairs/x"),
    Case("a name without a namespace", "{group}/{plural}/cart"),
    Case("no such subresource", "{ns}/cart/chair"),
    Case("too deep", "{ns}/cart/status/x/y"),
    Case("upper case", "{group}/namespaces/{namespace}/SERVICES"),
    Case("singular", "{group}/service"),
    Case("odd name", "{ns}/%C3%A4%20b"),
    Case("slash in a name", "{ns}/a%2Fb"),
    Case("dots for a name", "{ns}/.."),
    Case("percent in a name", "{ns}/a%25b"),
    Case("double slash", "{group}//{plural}"),
    *(
        Case(f"{method} of the collection", "{all}", method=method)
        for method in ("HEAD", "OPTIONS", "TRACE", "FOO", "PUT", "PATCH")
    ),
    *(
        Case(f"{method} of an object", "{ns}/cart", method=method)
        for method in ("HEAD", "OPTIONS", "FOO", "POST")
    ),
    Case("two troubles: match and token", query="resourceVersionMatch=x&continue=abc"),
    Case("two troubles: limit and version", query="limit=x&resourceVersion=y"),
    Case("watch of an unknown resource", "{group}/watch/chairs"),
    Case("POST to a watch path", "{group}/watch/{plural}", method="POST"),
)

#: 1.20 answers these otherwise: see differences.py.
_FOREIGN = (
    "/foo", "/foo/bar", "/apifoo", "/healthz/x", "/livez/x", "/readyz/x", "/API", "/.well-known/x",
    "/apis/discovery.k8s.io/v7", "/apis/discovery.k8s.io/v7/endpointslices",
)  # fmt: skip

_KNOWN = (
    "/api/", "/apis/", "/api/v1/", "/api/v2", "/api/v2/services", "/api/v1/x", "/apis/foo",
    "/apis/foo/v1", "/apis/foo/v1/services", "/version/x", "/api/v1/namespaces/x/y/z",
    "/api/v1/namespaces/x/services/y/z/a/b",
)  # fmt: skip

#: These are about no resource.
PATHS: tuple[Case, ...] = (
    *(Case(f"path {path}", path) for path in _KNOWN),
    *(Case(f"path {path}", path, since=21) for path in _FOREIGN),
)
