"""What the manifests allow of EndpointSlices, where they are served: of the embedded cluster, which
has discovery.k8s.io/v1, nothing else is asked, and all of that."""

from __future__ import annotations

from typing import Any

import pytest
from rights import Right, documents, granted, right_to
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTSLICES, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.slices import MANAGED_BY, SERVICE_NAME
from servicereflector.program import Roles
from servicereflector.reflector.controller import HOLD, STARTING
from servicereflector.testing.clusters import MemoryCluster, Mesh, service

KEY = "shop/cart"

#: What the program of each manifest is, as the flags of its Deployment say.
ROLES: dict[str, dict[str, Any]] = {
    "service-reflector.yaml": {},
    "emitter.yaml": {"reflected": None},
    "reflector.yaml": {"emitted": None},
    "one-namespace.yaml": {"namespace": "shop"},
}


class Recording(Resource):
    """Notes what the API is asked for."""

    isLeaf = True

    def __init__(self, api: IResource, asked: set[Right]) -> None:
        super().__init__()
        self._api = api
        self._asked = asked

    def render(self, request: Request) -> Any:
        right = right_to(
            request.method.decode(), request.path.decode(), watch=b"watch" in request.args
        )
        if right is not None:
            self._asked.add(right)
        return self._api.render(request)


def slice_of(*addresses: str) -> Json:
    labels = {SERVICE_NAME: "cart", MANAGED_BY: "endpointslice-controller.k8s.io"}
    return {
        "metadata": {"namespace": "shop", "name": "cart-abcde", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {}} for address in addresses],
        "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
    }


@pytest.mark.parametrize("manifest", ROLES)
def test_slices_need_what_the_manifest_allows_and_nothing_else(manifest: str) -> None:
    mesh = Mesh()
    asked: set[Right] = set()
    west = MemoryCluster("west", mesh.network)
    west.server = mesh.network.serve("west", Recording(west.api.app.resource(), asked))
    everything = {"emitted": LabelSelector(), "reflected": LabelSelector()}
    east = mesh.join("east").cluster
    mesh.join("west", sources=["east"], cluster=west, roles=Roles(**everything | ROLES[manifest]))
    mesh.advance(STARTING + HOLD)
    west.put(SERVICES, service("shop/own"))
    east.put(SERVICES, service(KEY))
    for addresses in (["10.9.0.1"], ["10.9.0.1", "10.9.0.2"]):
        east.put(ENDPOINTSLICES, slice_of(*addresses))
        mesh.advance(1)
    east.delete(ENDPOINTSLICES, "shop/cart-abcde")
    east.delete(SERVICES, KEY)
    mesh.advance(STARTING + HOLD)
    assert west.get(SERVICES, KEY) is None
    assert west.keys(ENDPOINTSLICES) == []
    mesh.stop()
    allowed = granted(documents(manifest))
    assert asked - allowed == set(), "asked for, and not allowed"
    slices = {right for right in allowed if right.group == ENDPOINTSLICES.group}
    assert slices
    assert slices - asked == set(), "allowed, and never asked for"
