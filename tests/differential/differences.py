"""Where the Emitter cannot do as kube-apiserver does, and why: each its own case.

Both answers are held to what is written here, so that a difference that goes away is noticed too.
"""

from __future__ import annotations

from dataclasses import dataclass

from .cases import PROTOBUF, Case, accept
from .lists import encoded, token


@dataclass(frozen=True, slots=True)
class Told:
    """A status and some text of the answer; status 0 where nothing may be sent."""

    status: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """
    :ivar until: the last minor version of kube-apiserver that differs.
    """

    case: Case
    why: str
    real: Told
    emitter: Told
    until: int = 1000


_CRASH = "1.20.2 built with Go 1.19 crashes on it: asked of the Emitter alone"
_NOTHING = Told(0)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        Case("default/kubernetes", "/api/v1/namespaces/default/services/kubernetes"),
        "no cluster emits the way to its own API",
        Told(200, "kubernetes"),
        Told(404, "NotFound"),
    ),
    Difference(
        Case("create", "/api/v1/namespaces/default/services", method="POST"),
        "the Emitter is for reading",
        Told(400),
        Told(405, "MethodNotAllowed"),
    ),
    Difference(
        Case("protobuf", "{ns}", headers=accept(PROTOBUF)),
        "protobuf would need the generated code of every type: clients are given JSON or 406",
        Told(200, "k8s"),
        Told(406, "NotAcceptable"),
    ),
    Difference(
        Case("protobuf preferred", "{ns}", headers=accept(f"{PROTOBUF},application/json")),
        "a client that takes JSON too gets that",
        Told(200, "k8s"),
        Told(200, '"kind":"ServiceList"'),
    ),
    Difference(
        Case("other resources", "/api/v1/pods"),
        "the Emitter has three resources",
        Told(200, "PodList"),
        Told(404, "NotFound"),
    ),
    Difference(
        Case("a namespace", "/api/v1/namespaces/default"),
        "kubectl asks for it after a 404; 403 lets it print the right error",
        Told(200, "Namespace"),
        Told(403, "Forbidden"),
    ),
    Difference(
        Case("subresource", "{ns}/cart/status"),
        "subresources are for writers",
        Told(200, '"kind":"Service"'),
        Told(404, "NotFound"),
    ),
    Difference(
        Case("slices before v1", "/apis/discovery.k8s.io/v1beta1/endpointslices"),
        "only discovery.k8s.io/v1 is served, from 1.21 on",
        Told(200, "EndpointSliceList"),
        Told(404, "404 page not found"),
        until=20,
    ),
    Difference(
        Case("group before v1", "/apis/discovery.k8s.io"),
        "a group of which nothing is served is not there",
        Told(200, "v1beta1"),
        Told(404, "404 page not found"),
        until=20,
    ),
    Difference(
        Case("group of another version", "/apis/discovery.k8s.io/v7"),
        "the real server knows the group in versions that are not served",
        Told(404, "NotFound"),
        Told(404, "404 page not found"),
        until=20,
    ),
    Difference(
        Case("empty namespace", "{group}/namespaces//{plural}"),
        "who leaves out the namespace by mistake is not shown all of them",
        Told(200, "ServiceList"),
        Told(404, "NotFound"),
    ),
    Difference(
        Case("watch path alone", "{group}/watch"),
        "there is nothing there; the real server fails to say so",
        Told(500, "unable to determine kind and namespace from url"),
        Told(404, "NotFound"),
    ),
    Difference(
        Case("token that is no JSON", "{ns}", f"continue={encoded('nonsense')}"),
        "the words behind `continue key is not valid` are those of Go's JSON parser",
        Told(400, "continue key is not valid: invalid character"),
        Told(400, "continue key is not valid: it is no JSON"),
    ),
    Difference(
        Case("token with a version in quotes", "{ns}", f"continue={token('5', 'a')}"),
        "the words are those of Go's JSON parser, too",
        Told(400, "continue key is not valid: json: cannot unmarshal string"),
        Told(400, "continue key is not valid: its rv is no number"),
    ),
    Difference(
        Case("export", "{ns}/cart", "export=1"),
        "what 1.20 leaves out for an export is served by the Emitter",
        Told(200, '"kind":"Service"'),
        Told(200, '"resourceVersion"'),
        until=20,
    ),
    Difference(
        Case("watch whose time is up", "{ns}", "watch=true&timeoutSeconds=-1"),
        "the real server brings nothing or an ERROR, as it happens; the Emitter brings nothing",
        Told(200),
        Told(200),
    ),
    Difference(
        Case("checks", "/livez", "verbose"),
        "the checks are the program's own",
        Told(200, "[+]etcd ok"),
        Told(200, "[+]ping ok\nlivez check passed"),
    ),
    Difference(
        Case("unknown path", "/foo"),
        "1.20 lists all paths that it has",
        Told(404, '"paths"'),
        Told(404, "404 page not found"),
        until=20,
    ),
    Difference(
        Case("yaml list", "{ns}", headers=accept("application/yaml")),
        _CRASH,
        _NOTHING,
        Told(200, "kind: ServiceList"),
        until=20,
    ),
    Difference(
        Case("yaml object", "{ns}/cart", headers=accept("application/yaml")),
        _CRASH,
        _NOTHING,
        Told(200, "kind: Service"),
        until=20,
    ),
    Difference(
        Case("pretty", "{ns}/cart", "pretty=1"),
        _CRASH,
        _NOTHING,
        Told(200, '  "kind": "Service",\n'),
        until=20,
    ),
    Difference(
        Case("pretty by type", "{ns}/cart", headers=accept("application/json;pretty=1")),
        _CRASH,
        _NOTHING,
        Told(200, '  "kind": "Service",\n'),
        until=20,
    ),
    Difference(
        Case("pretty for curl", "{ns}/cart", headers={"User-Agent": "curl/8"}),
        _CRASH,
        _NOTHING,
        Told(200, '  "kind": "Service",\n'),
        until=20,
    ),
)
