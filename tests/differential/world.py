"""What is in the cluster: objects of one resource with everything that matters, and their past."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from e2e.clusters import Cluster

from servicereflector.kube.resources import Resource

from .sides import Side

Json = dict[str, Any]

_FAR = 1_000_000

#: So many writes may follow before the past is written anew.
_KEPT = 50


def _service(spec: Json) -> Json:
    return {"spec": spec}


_SERVICES: dict[str, Json] = {
    "cart": _service({"ports": [{"port": 80}], "selector": {"app": "cart", "a": "b"}}),
    "till": _service({"clusterIP": "None", "ports": [{"name": "x", "port": 1, "targetPort": "x"}]}),
    "out": _service({"type": "ExternalName", "externalName": "example.org"}),
    "gate": _service(
        {
            "type": "LoadBalancer",
            "externalIPs": ["192.0.2.7"],
            "ports": [
                {"name": "dns", "port": 53, "nodePort": 30053},
                {"name": "web", "port": 443, "nodePort": 30443},
            ],
        }
    ),
    "wait": _service({"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]}),
    "node": _service(
        {"type": "NodePort", "ports": [{"port": 8, "protocol": "UDP", "nodePort": 30008}]}
    ),
    "bare": _service({"clusterIP": "None"}),
}

_STATUSES: dict[str, Json] = {
    "gate": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"hostname": "lb.example.org"}]}}
}


def _subset(*ips: str, ready: bool = True, **ports: int) -> Json:
    return {
        "addresses" if ready else "notReadyAddresses": [{"ip": ip} for ip in ips],
        "ports": [{"name": name, "port": port} for name, port in ports.items()],
    }


_ENDPOINTS: dict[str, Json] = {
    "cart": {"subsets": [_subset("10.9.0.1", "10.9.0.2", web=80, tls=443)]},
    "till": {"subsets": [_subset("10.9.1.1", "10.9.1.2", "10.9.1.3", web=80)]},
    "out": {"subsets": []},
    "gate": {"subsets": [_subset("10.9.2.1", ready=False, web=80)]},
    "wait": {"subsets": [{"addresses": [{"ip": "10.9.3.1", "hostname": "h", "nodeName": "n"}]}]},
    "node": {"subsets": [_subset("2001:db8::1", web=80), _subset("10.9.4.1", web=81)]},
    "bare": {},
}


def _slice(*endpoints: Json, ports: list[Json] | None = None, family: str = "IPv4") -> Json:
    return {"addressType": family, "endpoints": list(endpoints), "ports": ports}


_SLICES: dict[str, Json] = {
    "cart": _slice({"addresses": ["10.9.0.1"]}, ports=[{"name": "web", "port": 80}]),
    "till": _slice(
        *({"addresses": [f"10.9.1.{n}"]} for n in range(1, 6)),
        ports=[{"name": f"p{n}", "port": n} for n in range(1, 6)],
    ),
    "out": _slice(ports=[]),
    "gate": _slice(
        {"addresses": ["10.9.2.1"], "conditions": {"ready": False}}, ports=[{"name": "named"}]
    ),
    "wait": _slice({"addresses": ["10.9.3.1"], "hostname": "h"}, ports=[{"name": ""}]),
    "node": _slice({"addresses": ["2001:db8::1"]}, ports=[{"port": 80}], family="IPv6"),
    "bare": _slice(),
}

_CONTENTS = {"services": _SERVICES, "endpoints": _ENDPOINTS, "endpointslices": _SLICES}

_LABELS: dict[str, dict[str, str]] = {
    "cart": {"app": "cart", "tier": "web", "n": "5"},
    "till": {"app": "till", "tier": "web", "n": "20"},
    "out": {"app": "out", "example.org/odd": "x"},
    "gate": {"app": "gate", "empty": ""},
    "wait": {"tier": "back", "n": "many"},
}


class World:
    """One resource of the real cluster, of which the Emitter has seen everything.

    :ivar versions: the resourceVersions that cases name.
    """

    def __init__(self, resource: Resource, cluster: Cluster, real: Side, emitter: Side) -> None:
        self.resource = resource
        self.real = real
        self.emitter = emitter
        self._cluster = cluster
        self._namespace = f"diff-{resource.plural}"
        self.all = resource.path()
        self.ns = resource.path(self._namespace)
        self._counter = 0
        self._undo: dict[str, Callable[[], object]] = {}
        self._content = _CONTENTS[resource.plural]
        self._first = emitter.version_of(self.all)
        self._writes = 0
        self.versions: dict[str, int] = {}

    def populate(self) -> None:
        """Create everything."""
        for namespace in (self._namespace, f"{self._namespace}-b"):
            self._cluster.namespace(namespace)
        for name, content in self._content.items():
            self._create(name, content)
        # "diff-services-b/bare" comes before "diff-services/bare": '-' is less than '/'.
        self._create("bare", self._content["bare"], f"{self._namespace}-b")
        self._create("zz-touched", self._content["bare"])
        if self.resource.plural == "services":
            for name, status in _STATUSES.items():
                self._patch(name, {"status": status}, "/status")
        self._make_past()

    def settle(self) -> int:
        """Bring both sides to the same version of this resource, and return it."""
        if self._writes > _KEPT:
            self._make_past()
        version = self.real.version_of(self.all)
        if self.emitter.version_of(self.all) != version:
            version = self._touch("zz-touched")
            self.emitter.await_version(self.all, version)
        self.versions["now"] = version
        self.versions["future"] = version + _FAR
        return version

    def _make_past(self) -> None:
        """Versions in which something happened: kube-apiserver keeps but 100 events at first."""
        if "floor" in self.versions:
            self.versions["floor"] = self._touch("zz-touched")
        else:
            self.versions["floor"] = self._first
        self._create("gone", self._content["bare"])
        self.versions["created"] = self._touch("zz-touched")
        moved = self._patch("cart", {"metadata": {"labels": {"app": "moved", "tier": None}}})
        self.versions["moved"] = int(moved["metadata"]["resourceVersion"])
        self._patch("cart", {"metadata": {"labels": {"app": "cart", "tier": "web"}}})
        self._delete("gone")
        self._writes = 0

    def target(self, path: str, query: str) -> str:
        """The template of a case, filled in, as it goes into a request line."""
        names = {"all": self.all, "ns": self.ns, "group": self.resource.root}
        names |= {"namespace": self._namespace, "plural": self.resource.plural}
        values = {**names, **{name: str(value) for name, value in self.versions.items()}}
        filled = path.format_map(values)
        if query:
            filled += "?" + quote(query.format_map(values), safe="=&%,!()<>/:;@")
        return filled

    # What cases let happen.

    def touch(self) -> None:
        self._touch("zz-touched")

    def touch_cart(self) -> None:
        self._touch("cart")

    def come_and_go(self) -> None:
        """Added, modified, deleted; then the mark that a reader waits for."""
        self._create("fleeting", self._content["bare"])
        self._touch("fleeting")
        self._delete("fleeting")
        self._touch("cart")

    def move_out_and_in(self) -> None:
        """cart leaves app=cart, changes outside of it, and comes back."""
        self._patch("cart", {"metadata": {"labels": {"app": "moved"}}})
        self._touch("cart")
        self._patch("cart", {"metadata": {"labels": {"app": "cart"}}})

    def rewrite_all(self) -> None:
        """Between two pages: one object more, one less, all others changed."""
        self._create("aa-new", self._content["bare"])
        self._undo["aa-new"] = partial(self._delete, "aa-new")
        self._delete("till")
        self._undo["till"] = partial(self._create, "till", self._content["till"])
        for name in self._content:
            if name != "till":
                self._touch(name)

    def grow(self) -> None:
        """Enough for an answer to be compressed: more than 128 KiB."""
        for number in range(3):
            if f"large-{number}" not in self._undo:
                self._create(f"large-{number}", self._content["bare"], note="x" * 60_000)
                self._undo[f"large-{number}"] = partial(self._delete, f"large-{number}")

    def act(self, name: str) -> None:
        """What a case names; nothing for the empty name."""
        if name:
            getattr(self, name)()

    def undo(self) -> None:
        """Bring back the objects that all cases know."""
        while self._undo:
            self._undo.popitem()[1]()

    def _create(self, name: str, content: Json, namespace: str = "", note: str = "") -> Json:
        self._writes += 1
        metadata = {"name": name, "labels": _LABELS.get(name, {})}
        body = {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": {**metadata, "annotations": {"note": note or "<ü & \u2028>"}},
            **content,
        }
        return self._cluster.must("POST", self.resource.path(namespace or self._namespace), body)

    def _patch(self, name: str, patch: Json, subresource: str = "") -> Json:
        self._writes += 1
        answer = self.real.send_json(
            "PATCH",
            self.resource.path(self._namespace, name) + subresource,
            "application/merge-patch+json",
            patch,
        )
        assert answer.status == 200, answer
        document: Json = answer.documents[0]
        return document

    def _touch(self, name: str) -> int:
        self._counter += 1
        touched = self._patch(name, {"metadata": {"annotations": {"touched": str(self._counter)}}})
        return int(touched["metadata"]["resourceVersion"])

    def _delete(self, name: str) -> None:
        self._writes += 1
        self._cluster.must("DELETE", self.resource.path(self._namespace, name))
