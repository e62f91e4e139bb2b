"""The least OpenAPI that kubectl needs to write without ``--validate=false``.

kubectl looks up whether a kind's PATCH takes ``fieldValidation``, and then leaves the checking of
fields to the server. This server keeps fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..kube.objects import Json
from ..kube.resources import Resource


def index(resources: Iterable[Resource]) -> Json:
    """``/openapi/v3``."""
    roots = sorted({resource.root.lstrip("/") for resource in resources})
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}


def document(root: str, resources: Iterable[Resource]) -> Json:
    """``/openapi/v3/<root>``."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "Embedded cluster", "version": "v1"},
        "paths": {
            resource.path("{namespace}", "{name}"): {"patch": _patch(resource)}
            for resource in resources
            if resource.root == f"/{root}"
        },
        "components": {"schemas": {}},
    }


def _patch(resource: Resource) -> Json:
    return {
        "parameters": [
            {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "kind": resource.kind,
            "version": resource.version,
        },
    }
