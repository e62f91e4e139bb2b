"""The Emitter's answers: readiness, discovery, get and list, and what it never shows."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from servicereflector.client.bodies import collect
from servicereflector.emitter.negotiation import Form
from servicereflector.emitter.queries import parse_query
from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES
from servicereflector.kube.selectors import parse_labels
from servicereflector.kube.status import ApiError
from servicereflector.program import Roles
from servicereflector.testing.clusters import MemoryCluster, Mesh, Node, endpoints, service

success = SynchronousTestCase().successResultOf

ONLY_EMITTER = Roles(emitted=parse_labels(""))


class Emitter:
    """An Emitter in memory, the cluster behind it, and a client in front of it."""

    def __init__(self, *, roles: Roles = ONLY_EMITTER, host: str = "") -> None:
        self.mesh = Mesh()
        self.cluster = MemoryCluster("east", self.mesh.network)
        if host == "down":
            self.cluster.server.refuse()
        self.node: Node = self.mesh.join("east", roles=roles, cluster=self.cluster)
        assert self.node.emitter is not None
        self.client = self.node.emitter.client()

    def get(self, path: str, **params: str) -> Any:
        """The document at a path."""
        return orjson.loads(self.text(path, **params))

    def text(self, path: str, method: str = "GET", **params: str) -> bytes:
        named = list(params.items())
        return self.mesh.network.wait(self.client.request(method, path, params=named))

    def names(self, path: str, **params: str) -> list[str]:
        """The keys of a list's items."""
        items = self.get(path, **params)["items"]
        return [f"{i['metadata']['namespace']}/{i['metadata']['name']}" for i in items]

    def refusal(
        self, path: str, method: str = "GET", *, seconds: float = 0, **params: str
    ) -> ApiError:
        asked = self.client.request(method, path, params=list(params.items()))
        with pytest.raises(ApiError) as refused:
            self.mesh.network.wait(asked, seconds)
        return refused.value

    def raw(self, path: str) -> tuple[int, Headers, bytes]:
        """Status, headers and body of an answer."""
        agent = self.mesh.network.agent()
        url = f"http://east.emitter{path}".encode()
        response = self.mesh.network.wait(agent.request(b"GET", url))
        return (
            response.code,
            response.headers,
            self.mesh.network.wait(collect(response, "east", 10**6)),
        )

    def put(self, *documents: dict[str, Any]) -> None:
        for document in documents:
            self.cluster.put(SERVICES if "spec" in document else ENDPOINTS, document)
        self.mesh.settle()

    def close(self) -> None:
        self.mesh.stop()
        self.mesh.network.wait(self.client.close())
        assert self.mesh.network.clock.getDelayedCalls() == []


@pytest.fixture
def emitter() -> Iterator[Emitter]:
    emitter = Emitter()
    yield emitter
    emitter.close()


@pytest.fixture
def unready() -> Iterator[Emitter]:
    """An Emitter whose cluster cannot be reached."""
    emitter = Emitter(host="down")
    yield emitter
    emitter.close()


def test_readiness_waits_for_the_first_lists(unready: Emitter) -> None:
    code, _, body = unready.raw("/readyz")
    assert code == 500
    assert b"[-]services failed" in body
    unready.cluster.server.refuse(False)
    unready.mesh.advance(60)
    assert unready.raw("/readyz")[::2] == (200, b"ok")


def test_readiness_can_be_told_in_detail(emitter: Emitter) -> None:
    body = emitter.text("/readyz", verbose="")
    told = (
        b"[+]ping ok\n[+]services ok\n[+]endpoints ok\n[+]endpointslices ok\nreadyz check passed\n"
    )
    assert body == told


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
def test_an_emitter_that_is_not_ready_is_alive(unready: Emitter, path: str) -> None:
    assert unready.text(path) == b"ok"


@pytest.mark.parametrize("query", ["", "?watch=true&resourceVersion=5"])
def test_a_list_before_the_first_lists_asks_for_patience(unready: Emitter, query: str) -> None:
    code, headers, body = unready.raw(f"/api/v1/services{query}")
    assert code == 429
    assert headers.getRawHeaders("Retry-After") == ["1"]
    status = orjson.loads(body)
    assert status["reason"] == "TooManyRequests"
    assert status["message"] == "storage is (re)initializing"
    assert status["details"]["retryAfterSeconds"] == 1


def test_a_get_before_the_first_lists_is_no_404(unready: Emitter) -> None:
    assert unready.refusal("/api/v1/namespaces/shop/services/cart").code == 429


def test_the_version_is_the_clusters(emitter: Emitter) -> None:
    assert emitter.get("/version")["gitVersion"] == "v1.36.0-embedded"


def test_the_version_is_not_made_up(unready: Emitter) -> None:
    assert unready.refusal("/version").code == 429


def test_discovery_leads_to_the_resources(emitter: Emitter) -> None:
    assert emitter.get("/api")["versions"] == ["v1"]
    assert [group["name"] for group in emitter.get("/apis")["groups"]] == ["discovery.k8s.io"]
    (slices,) = emitter.get("/apis/discovery.k8s.io/v1")["resources"]
    assert (slices["name"], slices["verbs"]) == ("endpointslices", ["get", "list", "watch"])
    found = {entry["name"]: entry for entry in emitter.get("/api/v1")["resources"]}
    assert set(found) == {"services", "endpoints"}
    assert found["services"]["verbs"] == ["get", "list", "watch"]
    assert found["services"]["shortNames"] == ["svc"]


def test_a_list_holds_the_objects_as_they_are(emitter: Emitter) -> None:
    emitter.put(service("shop/cart"), endpoints("shop/cart", ["10.1.0.1"]))
    for resource in (SERVICES, ENDPOINTS):
        listed = emitter.get(f"/api/v1/{resource.plural}")
        assert listed["kind"] == resource.list_kind
        assert listed["items"] == [emitter.cluster.get(resource, "shop/cart")]


def test_a_list_has_the_clusters_version(emitter: Emitter) -> None:
    emitter.put(service("shop/cart"))
    version = emitter.get("/api/v1/services")["metadata"]["resourceVersion"]
    assert version == str(emitter.cluster.model.stores[SERVICES].version)


def test_an_object_is_answered_in_full(emitter: Emitter) -> None:
    emitter.put(service("shop/cart"))
    document = emitter.get("/api/v1/namespaces/shop/services/cart")
    kept = emitter.cluster.get(SERVICES, "shop/cart")
    assert document == {"kind": "Service", "apiVersion": "v1", **(kept or {})}


def test_what_is_not_there_is_not_found(emitter: Emitter) -> None:
    refused = emitter.refusal("/api/v1/namespaces/shop/services/cart")
    assert (refused.code, refused.message) == (404, 'services "cart" not found')


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods",
        "/api/v2/services",
        "/api/v1/namespaces/shop/pods/a",
        "/apis/discovery.k8s.io/v1/deployments",
        "/api/v1/services/cart",
        "/api/v1/namespaces/shop/services/cart/status",
    ],
)
def test_an_unknown_path_is_not_found(emitter: Emitter, path: str) -> None:
    refused = emitter.refusal(path)
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.message == "the server could not find the requested resource"


@pytest.mark.parametrize("path", ["/foo", "/apis/apps/v1/deployments", "/apis/apps"])
def test_what_is_of_no_group_is_not_found_in_plain_words(emitter: Emitter, path: str) -> None:
    """As kube-apiserver tells of what no group of it serves."""
    code, headers, body = emitter.raw(path)
    assert (code, body) == (404, b"404 page not found\n")
    assert headers.getRawHeaders(b"Content-Type") == [b"text/plain; charset=utf-8"]


def test_outside_the_api_a_404_is_plain(emitter: Emitter) -> None:
    code, headers, body = emitter.raw("/nothing")
    assert (code, body) == (404, b"404 page not found\n")
    assert headers.getRawHeaders("Content-Type") == ["text/plain; charset=utf-8"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(emitter: Emitter, method: str) -> None:
    for path in ("/api/v1/namespaces/shop/services", "/api/v1/namespaces/shop/services/cart"):
        refused = emitter.refusal(path, method)
        assert (refused.code, refused.reason) == (405, "MethodNotAllowed")


def mirror(key: str) -> dict[str, Any]:
    return service(key, annotations={REFLECTED: "true", SOURCE: "west"})


def test_mirrors_are_never_shown(emitter: Emitter) -> None:
    emitter.put(mirror("shop/mirrored"), service("shop/labelled", labels={REFLECTED: "true"}))
    emitter.put(service("shop/cart"))
    assert emitter.names("/api/v1/services") == ["shop/cart"]
    assert emitter.refusal("/api/v1/namespaces/shop/services/mirrored").code == 404


def test_the_clusters_own_api_is_never_shown(emitter: Emitter) -> None:
    assert emitter.names("/api/v1/services") == []
    assert emitter.refusal("/api/v1/namespaces/default/services/kubernetes").code == 404


def test_another_service_of_that_name_is_shown(emitter: Emitter) -> None:
    emitter.put(service("shop/kubernetes"))
    assert emitter.names("/api/v1/services") == ["shop/kubernetes"]


def test_the_emitters_selector_narrows_everything() -> None:
    emitter = Emitter(roles=Roles(emitted=parse_labels("public=yes")))
    emitter.put(service("shop/cart", labels={"public": "yes"}), service("shop/secret"))
    assert emitter.names("/api/v1/services") == ["shop/cart"]
    assert emitter.names("/api/v1/services", labelSelector="!public") == []
    assert emitter.refusal("/api/v1/namespaces/shop/services/secret").code == 404
    emitter.close()


def test_a_program_of_one_namespace_shows_only_that() -> None:
    emitter = Emitter(roles=Roles(namespace="shop", emitted=parse_labels("")))
    emitter.put(service("shop/cart"), service("other/cart"))
    assert emitter.names("/api/v1/services") == ["shop/cart"]
    emitter.close()


def test_a_list_can_be_of_one_namespace(emitter: Emitter) -> None:
    emitter.put(service("shop/cart"), service("shop-b/cart"))
    assert emitter.names("/api/v1/namespaces/shop/services") == ["shop/cart"]
    assert emitter.names("/api/v1/namespaces/none/services") == []


def test_a_list_goes_by_etcds_keys(emitter: Emitter) -> None:
    emitter.put(service("a/x"), service("a-b/x"))
    assert emitter.names("/api/v1/services") == ["a-b/x", "a/x"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("tier=web", ["shop/a"]), ("tier!=web", ["shop/b"]), ("tier in (web,db)", ["shop/a"])],
)
def test_labels_select(emitter: Emitter, selector: str, expected: list[str]) -> None:
    emitter.put(service("shop/a", labels={"tier": "web"}), service("shop/b"))
    assert emitter.names("/api/v1/services", labelSelector=selector) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=a", ["shop/a"]),
        ("metadata.name!=a", ["shop/b"]),
        ("metadata.namespace=none", []),
    ],
)
def test_fields_select(emitter: Emitter, selector: str, expected: list[str]) -> None:
    emitter.put(service("shop/a"), service("shop/b"))
    assert emitter.names("/api/v1/services", fieldSelector=selector) == expected


@pytest.mark.parametrize(
    "params",
    [
        {"labelSelector": "app in"},
        {"fieldSelector": "foo"},
        {"limit": "abc"},
        {"resourceVersion": "abc"},
        {"timeoutSeconds": "1.5", "watch": "1"},
    ],
)
def test_a_malformed_parameter_is_refused(emitter: Emitter, params: dict[str, str]) -> None:
    refused = emitter.refusal("/api/v1/services", **params)
    assert (refused.code, refused.reason) == (400, "BadRequest")


def test_pages_join_to_the_whole(emitter: Emitter) -> None:
    emitter.put(*(service(f"shop/s{number}") for number in range(5)))
    page = emitter.get("/api/v1/services", limit="3")
    assert page["metadata"]["remainingItemCount"] == 2
    token = page["metadata"]["continue"]
    rest = emitter.get("/api/v1/services", limit="3", **{"continue": token})
    assert "continue" not in rest["metadata"]
    found = [item["metadata"]["name"] for item in page["items"] + rest["items"]]
    assert found == ["s0", "s1", "s2", "s3", "s4"]


def test_pages_show_one_moment(emitter: Emitter) -> None:
    emitter.put(service("shop/a"), service("shop/b"))
    page = emitter.get("/api/v1/services", limit="1")
    emitter.put(service("shop/aa"))
    emitter.cluster.delete(SERVICES, "shop/b")
    emitter.mesh.settle()
    token = page["metadata"]["continue"]
    assert emitter.names("/api/v1/services", **{"continue": token}) == ["shop/b"]


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "é",
        "e30",  # {}
        "W10",  # []
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0",  # version 0
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIifQ",  # no start
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiIuLi94In0",  # ../x
    ],
)
def test_a_bad_token_is_refused(emitter: Emitter, token: str) -> None:
    refused = emitter.refusal("/api/v1/services", limit="1", **{"continue": token})
    assert (refused.code, refused.reason) == (400, "BadRequest")


def test_a_token_older_than_the_history_has_expired(emitter: Emitter) -> None:
    emitter.put(service("shop/a"), service("shop/b"))
    token = emitter.get("/api/v1/services", limit="1")["metadata"]["continue"]
    emitter.put(service("shop/c"))
    emitter.node.restart()  # its history begins anew
    refused = emitter.refusal("/api/v1/services", limit="1", **{"continue": token})
    assert (refused.code, refused.reason) == (410, "Expired")


def test_a_version_of_the_future_is_too_large(emitter: Emitter) -> None:
    refused = emitter.refusal("/api/v1/services", seconds=3, resourceVersion="99999")
    assert (refused.code, refused.reason) == (504, "Timeout")
    assert refused.causes == ("ResourceVersionTooLarge",)


def test_it_goes_on_while_the_cluster_is_away(emitter: Emitter) -> None:
    emitter.put(service("shop/cart"))
    emitter.cluster.server.refuse()
    emitter.cluster.server.cut()
    emitter.mesh.advance(300)
    assert emitter.names("/api/v1/services") == ["shop/cart"]
    assert emitter.text("/readyz") == b"ok"


def test_a_namespace_is_no_resource_of_it(emitter: Emitter) -> None:
    assert emitter.refusal(f"/api/v1/{NAMESPACES.plural}").code == 404


def test_a_list_asked_for_in_the_same_words_is_encoded_once(emitter: Emitter) -> None:
    """Until something changes; and a large one is compressed for who takes it so."""
    node = emitter.node
    assert node.program is not None
    assert node.program.read_api is not None
    emitter.put(service("shop/cart"))
    collection = node.program.read_api._collections["", "v1", "services"]

    def listed(text: str = "") -> object:
        query = parse_query({"labelSelector": text}, SERVICES)
        return success(Deferred.fromCoroutine(collection.list(query, Form())))

    first = listed()
    assert listed() is first
    assert listed("a=b") is not first
    emitter.put(service("shop/till"))
    assert listed() is not first


def test_a_large_list_is_compressed_for_who_takes_gzip(emitter: Emitter) -> None:
    """From 128 KiB on."""
    for number in range(100):
        emitter.put(service(f"shop/s{number}", annotations={"example.com/a": "x" * 2000}))
    agent = emitter.mesh.network.agent()
    url = b"http://east.emitter/api/v1/services"
    headers = Headers({b"Accept-Encoding": [b"gzip"]})
    answer = emitter.mesh.network.wait(agent.request(b"GET", url, headers))
    assert answer.headers.getRawHeaders(b"Content-Encoding") == [b"gzip"]
    assert answer.headers.getRawHeaders(b"Vary") == [b"Accept-Encoding"]
    body = emitter.mesh.network.wait(collect(answer, "east", 10**7))
    assert gzip.decompress(body) == emitter.text("/api/v1/services")


def test_a_list_form_of_one_object_is_refused_by_the_objects_kind(emitter: Emitter) -> None:
    """The refusal names the Go type, as kube-apiserver's does."""
    emitter.put(service("shop/cart"))
    agent = emitter.mesh.network.agent()
    url = b"http://east.emitter/api/v1/namespaces/shop/services/cart"
    form = b"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    answer = emitter.mesh.network.wait(agent.request(b"GET", url, Headers({b"Accept": [form]})))
    body = orjson.loads(emitter.mesh.network.wait(collect(answer, "east", 10**6)))
    assert answer.code == body["code"] == 406
    assert "(*core.Service)" in body["message"]


@pytest.mark.parametrize("path", ["/api/v1/services", "/api/v1/namespaces/shop/services/cart"])
def test_a_bad_timeout_is_refused_of_all_but_watches(emitter: Emitter, path: str) -> None:
    """Even where nothing else is right."""
    refused = emitter.refusal(path, timeout="x", labelSelector=",")
    assert (refused.code, "invalid duration" in refused.message) == (400, True)
    watched = emitter.refusal("/api/v1/services", timeout="x", labelSelector=",", watch="1")
    assert "invalid duration" not in watched.message


def test_endpoints_are_said_to_be_deprecated(emitter: Emitter) -> None:
    """With whatever the router has let pass."""
    for path, warned in {
        "/api/v1/endpoints": True,
        "/api/v1/endpoints?labelSelector=,": True,
        "/api/v1/endpoints/": True,
        "/api/v1/endpoints?timeout=x": False,
        "/api/v1/services": False,
    }.items():
        _, headers, _ = emitter.raw(path)
        assert headers.hasHeader(b"Warning") == warned, path
