"""What the API server does to a Service on its way in: defaults, clusterIPs, node ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from ..kube.objects import Json
from ..kube.status import ApiError, Cause, invalid
from .validation import check_ports, unsupported

_NODE_PORTS = range(30000, 32768)
_SETS = {
    "type": ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
    "sessionAffinity": ("ClientIP", "None"),
}


class ServiceRules:
    """The allocations of one cluster."""

    def __init__(self, service_range: str) -> None:
        self._range = ipaddress.ip_network(service_range)
        self._used: set[str] = set()
        self._node_ports: set[int] = set()
        self._hosts: Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address] = iter(())

    def kubernetes(self) -> Json:
        """``default/kubernetes``, which every cluster has, at the first address of the range."""
        return {
            "metadata": {
                "name": "kubernetes",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": str(self._range.network_address + 1),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
        }

    def admit(self, document: Json, before: Json | None) -> None:
        """Default and check a Service, and allocate what it needs.

        :param before: the Service that it replaces.
        :raises ApiError: 422.
        """
        name = document["metadata"]["name"]
        spec = document.setdefault("spec", {})
        document.setdefault("status", {"loadBalancer": {}})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if spec["sessionAffinity"] == "ClientIP":
            spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
        old = before["spec"] if before is not None else {}
        external = spec["type"] == "ExternalName"
        causes = [
            unsupported(f"spec.{m}", spec[m], s) for m, s in _SETS.items() if spec[m] not in s
        ]
        causes += check_ports("spec.ports", spec.get("ports") or ())
        causes += _duplicates(spec.get("ports") or ())
        if causes:
            raise invalid("Service", name, *causes)
        if not external:
            spec.setdefault("internalTrafficPolicy", "Cluster")
        if external:
            if not spec.get("externalName"):
                raise _invalid(name, "spec.externalName", "Required value")
            spec.pop("clusterIP", None)
        elif "clusterIP" not in spec or spec["clusterIP"] == "":
            spec["clusterIP"] = old.get("clusterIP") or ""
        if not spec.get("ports") and not external and spec["clusterIP"] != "None":
            raise _invalid(name, "spec.ports", "Required value")
        self._allocate_cluster_ip(name, spec, old)
        self._allocate_node_ports(spec, old)

    def release(self, document: Json) -> None:
        """Give back what a deleted Service held."""
        spec = document["spec"]
        self._used.discard(spec.get("clusterIP") or "")
        for port in spec.get("ports") or ():
            self._node_ports.discard(port.get("nodePort") or 0)

    def _allocate_cluster_ip(self, name: str, spec: Json, old: Json) -> None:
        held = old.get("clusterIP") or ""
        wanted = spec.get("clusterIP") or ""
        if spec["type"] == "ExternalName":
            self._used.discard(held)
            spec.pop("clusterIPs", None)
            return
        if held and wanted != held:
            raise _invalid(name, "spec.clusterIP", f'Invalid value: "{wanted}": field is immutable')
        if not wanted:
            wanted = self._next_free()
        elif wanted not in ("None", held):
            self._check_free(name, wanted)
        if wanted != "None":
            self._used.add(wanted)
        spec["clusterIP"] = wanted
        spec["clusterIPs"] = [wanted]

    def _check_free(self, name: str, wanted: str) -> None:
        try:
            inside = ipaddress.ip_address(wanted) in self._range
        except ValueError:
            inside = False
        if not inside:
            raise _invalid(
                name,
                "spec.clusterIP",
                f'Invalid value: "{wanted}": provided IP is not in the valid range. '
                f"The range of valid IPs is {self._range}",
            )
        if wanted in self._used:
            raise _invalid(
                name,
                "spec.clusterIP",
                f'Invalid value: "{wanted}": provided IP is already allocated',
            )

    def _next_free(self) -> str:
        for fresh in (False, True):
            if fresh:
                self._hosts = iter(self._range.hosts())
            for host in self._hosts:
                if str(host) not in self._used:
                    return str(host)
        raise ApiError(500, "failed to allocate a serviceIP: range is full")

    def _allocate_node_ports(self, spec: Json, old: Json) -> None:
        held = {p["port"]: p.get("nodePort") for p in old.get("ports") or ()}
        wanted = spec["type"] in ("NodePort", "LoadBalancer")
        for port in spec.get("ports") or ():
            if not wanted:
                port.pop("nodePort", None)
            elif not port.get("nodePort"):
                port["nodePort"] = held.get(port["port"]) or next(
                    number for number in _NODE_PORTS if number not in self._node_ports
                )
            if wanted:
                self._node_ports.add(port["nodePort"])
        kept = {p.get("nodePort") for p in spec.get("ports") or ()}
        self._node_ports -= {number for number in held.values() if number and number not in kept}


def _duplicates(ports: Sequence[Json]) -> Iterator[Cause]:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for i, port in enumerate(ports):
        name, number = port.get("name") or "", (port["port"], port["protocol"])
        if name and name in names:
            yield f"spec.ports[{i}].name", "FieldValueDuplicate", f'Duplicate value: "{name}"'
        if number in numbers:
            yield f"spec.ports[{i}]", "FieldValueDuplicate", f"Duplicate value: {number}"
        names.add(name)
        numbers.add(number)


def _invalid(name: str, field: str, message: str) -> ApiError:
    reason = "FieldValueRequired" if message == "Required value" else "FieldValueInvalid"
    return invalid("Service", name, (field, reason, message))
