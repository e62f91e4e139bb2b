"""The embedded cluster over HTTP: its own writes, and the Emitter's reads of the same stores."""

from __future__ import annotations

from typing import Any

import orjson
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

from ..emitter.answers import respond_error
from ..emitter.api import ReadApi, every
from ..emitter.collection import Served
from ..emitter.discovery import WRITING
from ..kube.objects import Json, full_body, key_of
from ..kube.resources import NAMESPACES, Resource
from ..kube.server import ServerInfo
from ..kube.status import ApiError, bad_request, method_not_allowed, not_found, unknown_path
from . import openapi
from .cluster import Cluster, Preconditions
from .patch import apply_patch

#: The version that the cluster claims to be; clients choose features by it.
VERSION: dict[str, Any] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0-embedded",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "python",
}

MAX_BODY = 3 * 1024 * 1024  # kube-apiserver's limit for a request


class EmbeddedApi:
    """The API of one embedded cluster."""

    app = Klein()

    def __init__(self, reactor: IReactorTime, cluster: Cluster) -> None:
        self.cluster = cluster
        self.reader = ReadApi(
            reactor,
            [Served(store, every) for store in cluster.stores.values()],
            server=lambda: ServerInfo(VERSION),
            verbs=WRITING,
        )
        self._resources = {(r.group, r.version, r.plural): r for r in cluster.stores}

    @app.handle_errors(ApiError)
    def refused(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, ApiError)
        return respond_error(request, error)

    @app.handle_errors(HTTPException)
    def not_routed(self, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG002
        return respond_error(request, unknown_path())

    @app.route("/openapi/v3", methods=["GET"])
    def openapi(self, request: Request) -> bytes:
        return _answer(request, 200, orjson.dumps(openapi.index(self._resources.values())))

    @app.route("/openapi/v3/<path:group_version>", methods=["GET"])
    def openapi_of(self, request: Request, group_version: str) -> bytes:
        document = openapi.document(group_version, self._resources.values())
        return _answer(request, 200, orjson.dumps(document))

    @app.route("/", methods=["GET", "HEAD"], branch=True)
    def read(self, _request: Request) -> IResource:
        return self.reader.app.resource()

    @app.route("/api/<version>/<plural>", methods=["POST"])
    @app.route("/api/<version>/namespaces/<namespace>/<plural>", methods=["POST"])
    @app.route("/apis/<group>/<version>/namespaces/<namespace>/<plural>", methods=["POST"])
    def create(
        self, request: Request, version: str, plural: str, group: str = "", namespace: str = ""
    ) -> bytes:
        resource = self._find(group, version, plural, namespace)
        record = self.cluster.create(
            resource,
            namespace,
            _document(request),
            dry_run=request.args.get(b"dryRun") == [b"All"],
        )
        return _answer(request, 201, full_body(resource, record))

    @app.route("/api/<version>/<plural>/<name>", methods=["PUT", "PATCH", "DELETE"])
    @app.route(
        "/api/<version>/namespaces/<namespace>/<plural>/<name>",
        methods=["PUT", "PATCH", "DELETE"],
    )
    @app.route(
        "/apis/<group>/<version>/namespaces/<namespace>/<plural>/<name>",
        methods=["PUT", "PATCH", "DELETE"],
    )
    def change(
        self,
        request: Request,
        version: str,
        plural: str,
        name: str,
        group: str = "",
        namespace: str = "",
    ) -> bytes:
        resource = self._find(group, version, plural, namespace)
        if request.method == b"DELETE":
            return self._delete(request, resource, namespace, name)
        document = _document(request)
        if request.method == b"PATCH":
            document = self._patched(request, resource, namespace, name, document)
        record = self.cluster.update(resource, namespace, name, document)
        return _answer(request, 200, full_body(resource, record))

    def _patched(
        self, request: Request, resource: Resource, namespace: str, name: str, patch: Json
    ) -> Json:
        current = self.cluster.stores[resource].get(key_of(namespace, name))
        if current is None:
            raise not_found(resource, name)
        kind = (request.getHeader(b"content-type") or b"").split(b";")[0].decode("latin-1")
        return apply_patch(kind, current.document(), patch)

    def _delete(self, request: Request, resource: Resource, namespace: str, name: str) -> bytes:
        told = _document(request, empty=b"{}").get("preconditions") or {}
        wanted = Preconditions(str(told.get("uid") or ""), str(told.get("resourceVersion") or ""))
        record = self.cluster.delete(resource, namespace, name, wanted)
        if resource is NAMESPACES:
            return _answer(request, 200, full_body(resource, record))
        return _answer(
            request,
            200,
            orjson.dumps(
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": {"name": name, "kind": resource.plural, "uid": record.uid},
                }
            ),
        )

    def _find(self, group: str, version: str, plural: str, namespace: str) -> Resource:
        resource = self._resources.get((group, version, plural))
        if resource is None:
            raise unknown_path()
        if resource.namespaced != bool(namespace):
            raise method_not_allowed()
        return resource


def _answer(request: Request, code: int, body: bytes) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % (len(body) + 1))
    return body + b"\n"


def _document(request: Request, empty: bytes = b"") -> Json:
    """The body.

    :param empty: stands for a body that is not there.
    """
    kind = (request.getHeader(b"content-type") or b"application/json").split(b";")[0]
    if not kind.endswith((b"/json", b"+json")):
        raise ApiError(
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json",
        )
    assert request.content is not None, "the request has been received"
    body = request.content.read(MAX_BODY + 1) or empty
    if len(body) > MAX_BODY:
        raise ApiError(413, f"limit is {MAX_BODY}", reason="RequestEntityTooLarge")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_request("the body is no JSON object")
    return document
