"""How clients find out what there is."""

from __future__ import annotations

from .cases import PROTOBUF, TABLE, Case, accept

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_CLIENT = f"{_AGGREGATED.format('v2')},{_AGGREGATED.format('v2beta1')},application/json"

CASES: tuple[Case, ...] = (
    Case("core versions", "/api"),
    Case("groups", "/apis"),
    Case("core resources", "/api/v1"),
    Case("group", "/apis/discovery.k8s.io", since=21),
    Case("version", "/version"),
    Case("version with a slash", "/version/"),
    Case("healthz", "/healthz"),
    Case("livez", "/livez"),
    Case("readyz", "/readyz"),
    *(Case(f"{path} as kubectl asks", path, headers=accept(_CLIENT)) for path in ("/api", "/apis")),
    *(
        Case(f"{path} as {name}", path, headers=accept(value))
        for path in ("/api", "/apis", "/api/v1", "/version", "/healthz")
        for name, value in {
            "anything": "*/*",
            "text": "text/html",
            "a Table": TABLE,
            "protobuf or json": f"text/html,{PROTOBUF};q=0.1,application/json",
        }.items()
        # 1.20 answers protobuf there; that it prefers it is in differences.py.
        if not (PROTOBUF in value and path.startswith("/api"))
    ),
    *(
        Case(f"{method} {path}", path, method=method)
        for path in ("/api", "/apis", "/api/v1", "/version", "/healthz")
        for method in ("POST", "DELETE", "HEAD")
    ),
)
