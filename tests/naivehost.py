"""A host for plans to be carried out on: one name of it, in memory, as strict as kube-apiserver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from servicereflector.kube.objects import Json, Record, record_of
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.mirror.features import Features
from servicereflector.mirror.plan import Action, Create, Delete, Plan, Update, make_plan
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import HostState, SourceState
from servicereflector.testing import strategies as kube
from servicereflector.testing.strategies import Situation, completed

#: What the API refuses in a Service of the type ClusterIP.
REFUSED = {"externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"}


class NaiveHost:
    """One name in a host that does what kube-apiserver does, and refuses what it refuses."""

    def __init__(self, state: HostState) -> None:
        self.objects: dict[Resource, Json] = {}
        for resource, record in (
            (NAMESPACES, state.namespace),
            (SERVICES, state.service),
            (ENDPOINTS, state.endpoints),
        ):
            if record is not None:
                self.objects[resource] = record.document()
        self.slices = {record.name: record.document() for record in state.slices}
        self.version = 1000
        self.deleted: list[Record] = []

    def record(self, resource: Resource) -> Record | None:
        document = self.objects.get(resource)
        return None if document is None else record_of(resource, dict(document))

    @property
    def state(self) -> HostState:
        return HostState(
            self.record(NAMESPACES),
            self.record(SERVICES),
            self.record(ENDPOINTS),
            kube.slice_records(list(self.slices.values())),
        )

    def carry_out(self, action: Action) -> None:
        self.version += 1
        match action:
            case Create(resource, document):
                assert self.of(resource, document["metadata"]["name"]) is None
                assert resource is NAMESPACES or NAMESPACES in self.objects
                self.keep(resource, document, f"uid-{self.version}")
            case Update(resource, document):
                before = self.of(resource, document["metadata"]["name"])
                assert before is not None
                for member in ("uid", "resourceVersion"):
                    assert document["metadata"][member] == before["metadata"][member]
                if resource is SERVICES:
                    self.check_address(before["spec"], document["spec"])
                assert document.get("addressType") == before.get("addressType")
                self.keep(resource, document, before["metadata"]["uid"])
            case Delete(resource, _, name, uid, version):
                there = self.of(resource, name)
                assert there is not None
                record = record_of(resource, dict(there))
                assert (record.uid, record.version) == (uid, version)
                self.deleted.append(record)
                if resource is ENDPOINTSLICES:
                    del self.slices[name]
                    return
                del self.objects[resource]
                if resource is SERVICES and (behind := self.record(ENDPOINTS)) is not None:
                    self.deleted.append(behind)
                    del self.objects[ENDPOINTS]

    def of(self, resource: Resource, name: str) -> Json | None:
        return self.slices.get(name) if resource is ENDPOINTSLICES else self.objects.get(resource)

    def keep(self, resource: Resource, document: Json, uid: str) -> None:
        kept = completed(document, uid, self.version)
        if resource is ENDPOINTSLICES:
            endpoints = document["endpoints"] or ()
            assert len(endpoints) <= 1000
            assert len(document["metadata"]["name"]) <= 63
            assert all(endpoint["addresses"] for endpoint in endpoints)
            self.slices[document["metadata"]["name"]] = kept
            return
        if resource is SERVICES:
            check_service(document["spec"])
        self.objects[resource] = kept

    @staticmethod
    def check_address(before: Json, after: Json) -> None:
        if "ExternalName" not in (before.get("type"), after.get("type")):
            assert after["clusterIP"] == before["clusterIP"], "the clusterIP is immutable"
            held = before.get("ipFamilies")
            assert not held or after["ipFamilies"][0] == held[0], "the first family is immutable"


def check_service(spec: Json) -> None:
    """What ValidateService says of the mirrors' two types."""
    assert not REFUSED & spec.keys()
    assert not any("nodePort" in port for port in spec.get("ports", ()))
    assert spec["sessionAffinity"] != "None" or "sessionAffinityConfig" not in spec
    if spec["type"] == "ExternalName":
        assert spec["externalName"]
        assert not {"clusterIP", "clusterIPs"} & spec.keys()
    else:
        assert spec["type"] == "ClusterIP"
        assert "externalName" not in spec


def plan_of(situation: Situation, host: HostState | None = None) -> Plan:
    return make_plan(
        situation.key,
        situation.sources,
        situation.host if host is None else host,
        situation.features,
        situation.policy,
    )


def converged(situation: Situation, host: NaiveHost | None = None) -> NaiveHost:
    """The host after plans were made and carried out until there was nothing to do."""
    host = host or NaiveHost(situation.host)
    for _ in range(4):
        plan = plan_of(situation, host.state)
        if not plan.actions:
            return host
        for action in plan.actions:
            host.carry_out(action)
    assert plan_of(situation, host.state).actions == (), "after four rounds"
    return host


def exporting(
    service: Json, behind: Json | None, name: str = "east", slices: Sequence[Json] = ()
) -> SourceState:
    its_endpoints = None if behind is None else record_of(ENDPOINTS, dict(behind))
    its_slices = kube.slice_records(list(slices))
    its_service = record_of(SERVICES, dict(service))
    return SourceState(name, True, its_service, its_endpoints, slices=its_slices)


def alone(source: SourceState, host: HostState | None = None, **rest: Any) -> Situation:
    """One source that exports a/x, and a host that is up to date."""
    features, policy = rest.get("features", Features()), rest.get("policy", Policy())
    return Situation("a/x", (source,), host or HostState(), features, policy)
