"""The parsers of strangers' bytes, each with good input to begin with."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl

import orjson
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.web.resource import Resource as WebResource

from servicereflector.access.attributes import attributes_of, forbidden
from servicereflector.access.clientcerts import ClientAuthorities
from servicereflector.access.identity import AccessError
from servicereflector.access.tokenfile import parse_token_file
from servicereflector.access.views import parse_views_file
from servicereflector.client.connection import ConfigError, parse_fingerprint, parse_url
from servicereflector.client.urloptions import parse_options
from servicereflector.emitter.negotiation import error_form, negotiate, route
from servicereflector.emitter.queries import check_timeout, parse_get, parse_query
from servicereflector.emitter.refusals import Refusals
from servicereflector.emitter.tokens import make_continue, read_continue
from servicereflector.kube.fields import parse_fields
from servicereflector.kube.lists import decode_list
from servicereflector.kube.objects import BadObject, record_of
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.selectors import SelectorError, parse_labels
from servicereflector.kube.slices import endpoints_of_slices, flatten_slices, slices_of_endpoints
from servicereflector.kube.status import ApiError, from_response
from servicereflector.kube.strangers import checked_record, deleted_record
from servicereflector.kube.subsets import flatten, pack
from servicereflector.kube.watchevents import LineSplitter, decode_event
from servicereflector.mirror.features import Features
from servicereflector.mirror.plan import make_plan
from servicereflector.mirror.policy import DEFAULT
from servicereflector.mirror.states import HostState, SourceState
from servicereflector.ops.channels import ChannelLimits, Connections
from servicereflector.ops.sockets import QuietSite
from servicereflector.sourcedir import read_source

from .harness import Target

METADATA = {
    "name": "cart",
    "namespace": "shop",
    "uid": "u",
    "resourceVersion": "5",
    "labels": {"a": "b", "kubernetes.io/service-name": "cart"},
    "annotations": {"a": "b"},
}
SERVICE = {
    "kind": "Service",
    "apiVersion": "v1",
    "metadata": METADATA,
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.0.0.1",
        "clusterIPs": ["10.0.0.1"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}},
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "x"}],
    },
}
BEHIND = {
    "kind": "Endpoints",
    "apiVersion": "v1",
    "metadata": METADATA,
    "subsets": [
        {
            "addresses": [{"ip": "10.1.0.1", "hostname": "a", "nodeName": "n"}],
            "notReadyAddresses": [{"ip": "10.1.0.2", "targetRef": {"kind": "Pod"}}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
    ],
}
SLICE = {
    "kind": "EndpointSlice",
    "apiVersion": "discovery.k8s.io/v1",
    "metadata": METADATA,
    "addressType": "IPv4",
    "endpoints": [
        {
            "addresses": ["10.1.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "hostname": "a",
            "zone": "z",
            "hints": {"forZones": [{"name": "z"}]},
        }
    ],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "h2c"}],
}
OBJECTS: tuple[tuple[Resource, Any], ...] = (
    (SERVICES, SERVICE),
    (ENDPOINTS, BEHIND),
    (ENDPOINTSLICES, SLICE),
)
STATUS = {"kind": "Status", "message": "m", "reason": "r", "code": 410,
          "details": {"retryAfterSeconds": 1, "causes": [{"reason": "x"}]}}  # fmt: skip


def _dumped(*documents: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(document).encode() for document in documents)


def _line(data: bytes) -> None:
    splitter = LineSplitter(4096)
    for line in splitter.feed(data + b"\n"):
        for resource, _ in OBJECTS:
            read, deleted = (partial(f, namespace="shop") for f in (checked_record, deleted_record))
            for readers in ((), (read, deleted)):
                try:
                    decode_event(resource, line, *readers)
                except BadObject as error:
                    str(error)


def _list(data: bytes) -> None:
    for resource, _ in OBJECTS:
        for readers in ((), (checked_record,)):
            try:
                decode_list(resource, data, *readers)
            except BadObject as error:
                str(error)


FEATURES = Features(True, True, frozenset(), endpoint_slices=True)


def _mirrored(data: bytes) -> None:
    """What passes the checks, and a bad one beside good ones, planned from an empty host."""
    document = orjson.loads(data)
    records = []
    for resource, good in OBJECTS:
        meant = isinstance(document, dict) and document.get("kind") == resource.kind
        try:
            # Which takes the kind out of the document.
            records.append(checked_record(resource, document if meant else {**good}))
        except BadObject:
            return
    service, behind, one = records
    for slices in ((), (one,)):
        state = SourceState("east", True, service, behind, slices=slices)
        for features in (FEATURES, Features(False, False, frozenset())):
            make_plan("shop/cart", [state], HostState(None, None, None), features, DEFAULT)


def _addresses(data: bytes) -> None:
    """What of a host is read without being checked."""
    document = orjson.loads(data)
    for resource, _ in OBJECTS:
        try:
            record_of(resource, document)
        except BadObject:
            return
    pack(flatten(document.get("subsets")))
    flatten_slices([document])
    endpoints_of_slices([document], "IPv4")
    slices_of_endpoints(document)


def _selector(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for minor in (20, 34):
        labels = parse_labels(text, minor)
        assert parse_labels(str(labels), minor) == labels
        labels.matches({"a": "b"})


def _query(data: bytes) -> None:
    parameters = dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
    for minor in (20, 34):
        check_timeout(parameters, minor)
        parse_get({"resourceVersion": "1", **parameters}, minor)
        for resource, _ in OBJECTS:
            parse_query(parameters, resource, "shop", minor=minor)


def _token(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for minor in (20, 34):
        version, start = read_continue(text, "shop", minor)
        again = make_continue(version or -1, start, "shop")
        assert read_continue(again, "shop", minor)[1] == start


def _accept(data: bytes) -> None:
    text = data.decode("latin-1")
    error_form(text, user_agent="", parameters={})
    for minor in (20, 34):
        route(text, minor)
    for watch in (False, True):
        negotiate(text, user_agent="", parameters={}, watch=watch, collection=True)


def _attributes(data: bytes) -> None:
    method, _, target = data.decode("utf-8", "replace").partition(" ")
    path, _, query = target.partition("?")
    asked = attributes_of(method, path, dict(parse_qsl(query)))
    asked.for_review()
    forbidden("u", asked).body()


_DIRECTORY = TemporaryDirectory(prefix="service-reflector-fuzz-")
_FILE = Path(_DIRECTORY.name) / "east.yaml"


def _source(data: bytes) -> None:
    _FILE.write_bytes(data)
    read_source(_FILE)


def _options(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    url, *told = text.split(",")
    parse_options(dict(one.partition("=")[::2] for one in told), parse_url(url))


class _Answers(WebResource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        return bytes(request.path)


def _request(data: bytes) -> None:
    clock = Clock()
    connections = Connections(ChannelLimits(), Refusals(clock.seconds))
    channel = QuietSite(_Answers(), connections, reactor=clock).buildProtocol(None)
    transport = StringTransportWithDisconnection(peerAddress=IPv4Address("TCP", "10.0.0.1", 1))
    transport.protocol = channel
    channel.makeConnection(transport)
    for start in range(0, len(data), 997):
        if transport.connected:
            channel.dataReceived(data[start : start + 997])
    clock.advance(100)
    assert not transport.connected
    assert len(connections) == 0


GET = b"GET /api/v1/services HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

TARGETS = (
    Target(
        "watch lines",
        _line,
        _dumped(
            *(
                {"type": kind, "object": good}
                for kind in ("ADDED", "DELETED")
                for _, good in OBJECTS
            ),
            {"type": "ERROR", "object": STATUS},
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}},
        ),
        as_json=True,
    ),
    Target(
        "lists",
        _list,
        _dumped(
            *(
                {
                    "kind": resource.list_kind,
                    "apiVersion": resource.api_version,
                    "metadata": {"resourceVersion": "9", "continue": "abc"},
                    "items": [good, good],
                }
                for resource, good in OBJECTS
            )
        ),
        as_json=True,
    ),
    Target(
        "plans",
        _mirrored,
        _dumped(*(good for _, good in OBJECTS)),
        fine=(orjson.JSONDecodeError,),
        as_json=True,
    ),
    Target(
        "addresses",
        _addresses,
        _dumped(*(good for _, good in OBJECTS)),
        fine=(orjson.JSONDecodeError,),
        as_json=True,
    ),
    Target(
        "answers", lambda data: from_response(500, data, "5").body(), _dumped(STATUS), as_json=True
    ),
    Target(
        "label selectors",
        _selector,
        (b"a=b,c!=d,e in (f,g),h notin (i),!j,k>5", b"example.com/a-b_c.d==x", b"a,b,c"),
        fine=(SelectorError,),
    ),
    Target(
        "field selectors",
        lambda data: parse_fields(data.decode("utf-8", "replace")),
        (b"metadata.name=a,metadata.namespace!=b", b"a\\,b\\=c==d"),
        fine=(SelectorError,),
    ),
    Target(
        "queries",
        _query,
        (
            b"watch=1&resourceVersion=5&timeoutSeconds=10&allowWatchBookmarks=true",
            b"limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiJhL2IifQ",
            b"labelSelector=a%3Db&fieldSelector=metadata.name%3Da&resourceVersionMatch=Exact"
            b"&resourceVersion=5",
            b"sendInitialEvents=true&watch=1&resourceVersionMatch=NotOlderThan&timeout=5s",
        ),
        fine=(ApiError,),
    ),
    Target(
        "continue tokens",
        _token,
        (make_continue(5, "shop/cart\0", "shop").encode(), make_continue(-1, "a", "").encode()),
        fine=(ApiError,),
    ),
    Target(
        "Accept",
        _accept,
        (
            b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5,*/*",
            b"application/yaml, application/vnd.kubernetes.protobuf",
            b'application/json; charset="utf-8"; pretty=1',
        ),
        fine=(ApiError,),
    ),
    Target(
        "attributes",
        _attributes,
        (
            b"GET /api/v1/namespaces/shop/services/cart?watch=1&fieldSelector=metadata.name%3Da",
            b"DELETE /apis/discovery.k8s.io/v1/watch/endpointslices",
            b"POST /version",
        ),
    ),
    Target(
        "token files",
        parse_token_file,
        (b'token,user,uid,"a,b"\nother,user2,2\n', b'"t""1",u,1\n'),
        fine=(AccessError, UnicodeDecodeError),
    ),
    Target(
        "views",
        parse_views_file,
        (
            b"views:\n- users: [west]\n  namespaces: [shop, 'team-*']\n  selector: a=b\n"
            b"- groups: [edge]\n",
        ),
        fine=(AccessError, UnicodeDecodeError),
    ),
    Target(
        "authorities",
        ClientAuthorities,
        (b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmg\n-----END CERTIFICATE-----\n",),
        fine=(AccessError,),
    ),
    Target(
        "source files",
        _source,
        (
            b"https://10.0.0.1:6443\n",
            b"url: https://10.0.0.1\nselector: a=b\nstale-after: 5m\nfingerprint: sha256:"
            + b"ab" * 32,
            b"apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: "
            b"{cluster: k, user: u}\nclusters:\n- name: k\n  cluster: {server: 'https://a'}\nusers:"
            b"\n- name: u\n  user: {token: t}\n",
            b"url: http://a\nallow-cidr: [10.0.0.0/8]\nmap-cidr: [10.1.0.0/16=100.64.0.0/16]\n"
            b"deny-ports: [22]\nmax-services: 5\n",
        ),
        fine=(ConfigError,),
    ),
    Target(
        "URLs with options",
        _options,
        (
            b"https://10.0.0.1:6443/prefix,server-name=a,fingerprint=sha256:" + b"ab" * 32,
            b"http://[fd00::1]:80",
        ),
        fine=(ConfigError,),
    ),
    Target(
        "fingerprints",
        lambda data: parse_fingerprint(data.decode("utf-8", "replace")),
        (b"sha256:" + b"ab" * 32, b"SHA256:" + b":".join([b"AB"] * 32)),
        fine=(ConfigError,),
    ),
    Target("requests", _request, (GET, POST, CHUNKED, GET * 3 + POST)),
)
