"""What the API server does to a Service on its way in: defaults, families, addresses, ports."""

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
    "ipFamilyPolicy": ("PreferDualStack", "RequireDualStack", "SingleStack"),
    "trafficDistribution": ("PreferClose", "PreferSameNode", "PreferSameZone"),
}


class Pool:
    """The clusterIPs of one family."""

    def __init__(self, cidr: str) -> None:
        self.used: set[str] = set()
        self._range = ipaddress.ip_network(cidr)
        self._hosts: Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address] = iter(())

    @property
    def family(self) -> str:
        return f"IPv{self._range.version}"

    @property
    def first(self) -> str:
        return str(self._range.network_address + 1)

    def __contains__(self, text: str) -> bool:
        try:
            return ipaddress.ip_address(text) in self._range
        except ValueError:
            return False

    def claim(self, name: str, wanted: str) -> None:
        """Take this address.

        :raises ApiError: 422, where it is another Service's, or out of the range.
        """
        trouble = "provided IP is already allocated" if wanted in self.used else ""
        if wanted not in self:
            trouble = (
                f"provided IP is not in the valid range. The range of valid IPs is {self._range}"
            )
        if trouble:
            raise _invalid(name, "spec.clusterIP", f'Invalid value: "{wanted}": {trouble}')
        self.used.add(wanted)

    def allocate(self) -> str:
        """Take the next address that is free.

        :raises ApiError: 500, where none is.
        """
        for fresh in (False, True):
            if fresh:
                self._hosts = iter(self._range.hosts())
            for host in self._hosts:
                if str(host) not in self.used:
                    self.used.add(str(host))
                    return str(host)
        raise ApiError(500, "failed to allocate a serviceIP: range is full")


class ServiceRules:
    """The allocations of one cluster."""

    def __init__(self, service_range: str) -> None:
        self._pools = {pool.family: pool for pool in map(Pool, service_range.split(","))}
        self._node_ports: set[int] = set()

    def kubernetes(self) -> Json:
        """``default/kubernetes``, which every cluster has, at the first address of the range."""
        return {
            "metadata": {
                "name": "kubernetes",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": next(iter(self._pools.values())).first,
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
            unsupported(f"spec.{m}", spec[m], s)
            for m, s in _SETS.items()
            if spec.get(m, s[0]) not in s
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

    def check_range(self, document: Json) -> None:
        """What is looked at even before the name is.

        :raises ApiError: 422, where a ClusterIP is asked for that there cannot be.
        """
        spec = document.get("spec")
        wanted = spec.get("clusterIP") if isinstance(spec, dict) else None
        if isinstance(wanted, str) and wanted not in ("", "None"):
            pools = list(self._pools.values())
            if not any(wanted in pool for pool in pools):
                same = [p for p in pools if (p.family == "IPv6") is (":" in wanted)]
                (same or pools)[0].claim(document["metadata"]["name"], wanted)

    def release(self, document: Json) -> None:
        """Give back what a deleted Service held."""
        spec = document["spec"]
        for address in spec.get("clusterIPs") or ():
            self._give_back(address)
        for port in spec.get("ports") or ():
            self._node_ports.discard(port.get("nodePort") or 0)

    def _allocate_cluster_ip(self, name: str, spec: Json, old: Json) -> None:
        held: list[str] = old.get("clusterIPs") or []
        wanted = spec.get("clusterIP") or ""
        if spec["type"] == "ExternalName":
            for address in held:
                self._give_back(address)
            for member in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(member, None)
            return
        if held and wanted != held[0]:
            raise _invalid(name, "spec.clusterIP", f'Invalid value: "{wanted}": field is immutable')
        families = self._families(name, spec, old, wanted)
        spec["ipFamilies"] = families
        if wanted == "None":
            spec["clusterIPs"] = ["None"]
            return
        if wanted and not held:
            self._pools[families[0]].claim(name, wanted)
            held = [wanted]
        for address in held[len(families) :]:
            self._give_back(address)
        held = held[: len(families)]
        spec["clusterIPs"] = held + [self._pools[f].allocate() for f in families[len(held) :]]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _families(self, name: str, spec: Json, old: Json, wanted: str) -> list[str]:
        """Complete and check the families and their policy."""
        before: list[str] = old.get("ipFamilies") or []
        bare = wanted == "None" and not spec.get("selector")
        if bare and not old and not spec.keys() & {"ipFamilyPolicy", "ipFamilies"}:
            # What is behind such a Service may be anything, whatever the cluster's own families.
            spec["ipFamilyPolicy"] = "RequireDualStack"
            first = next(iter(self._pools))
            return [first, *(f for f in ("IPv4", "IPv6") if f != first)]
        policy = spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy") or "SingleStack")
        families: list[str] = list(spec.get("ipFamilies") or before)
        if families == before and policy == old.get("ipFamilyPolicy"):
            return families
        for i, family in enumerate(families):
            if family not in self._pools:
                message = f'Invalid value: "{family}": not configured on this cluster'
                raise _invalid(name, f"spec.ipFamilies[{i}]", message)
        if policy == "RequireDualStack" and len(self._pools) < 2:
            message = (
                f'Invalid value: "{policy}": this cluster is not configured for dual-stack services'
            )
            raise _invalid(name, "spec.ipFamilyPolicy", message)
        if before and families[0] != before[0]:
            message = f'Invalid value: "{families[0]}": may not change once set'
            raise _invalid(name, "spec.ipFamilies[0]", message)
        if not families:
            # An address that is asked for decides.
            families = [
                next((f for f, p in self._pools.items() if wanted in p), next(iter(self._pools)))
            ]
        if policy == "SingleStack":
            return families[:1]
        return families + [family for family in self._pools if family not in families]

    def _give_back(self, address: str) -> None:
        for pool in self._pools.values():
            pool.used.discard(address)

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
