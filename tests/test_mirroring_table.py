"""docs/mirroring.md tells what becomes of each field: every row of it is put through a plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from naivehost import alone, exporting, plan_of

from servicereflector.kube.objects import Json
from servicereflector.kube.slices import SERVICE_NAME
from servicereflector.mirror.plan import Create

DOCUMENT = (Path(__file__).parents[1] / "docs" / "mirroring.md").read_text()

_METADATA = """name namespace labels annotations generateName uid resourceVersion generation
selfLink creationTimestamp deletionTimestamp deletionGracePeriodSeconds ownerReferences finalizers
managedFields"""
_SPEC = """allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName
externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy
loadBalancerClass loadBalancerIP loadBalancerSourceRanges ports[].appProtocol ports[].name
ports[].nodePort ports[].port ports[].protocol ports[].targetPort publishNotReadyAddresses selector
sessionAffinity sessionAffinityConfig trafficDistribution type"""
_ADDRESS = "ip hostname nodeName targetRef"
_PORT = "name port protocol appProtocol"
_ENDPOINT = """addresses conditions.ready conditions.serving conditions.terminating
deprecatedTopology hints hostname nodeName targetRef zone"""


def _below(prefix: str, names: str) -> set[str]:
    return {f"{prefix}{name}" for name in names.split()}


#: The fields of the APIs' types: core/v1 and discovery/v1 as of Kubernetes 1.36.
FIELDS = {
    "Service": {"status"} | _below("metadata.", _METADATA) | _below("spec.", _SPEC),
    "Endpoints": _below("metadata.", _METADATA)
    | _below("subsets[].addresses[].", _ADDRESS)
    | _below("subsets[].notReadyAddresses[].", _ADDRESS)
    | _below("subsets[].ports[].", _PORT),
    "EndpointSlice": {"addressType"}
    | _below("metadata.", _METADATA)
    | _below("endpoints[].", _ENDPOINT)
    | _below("ports[].", _PORT),
}

#: What else a source's object needs for a field to mean something.
WITH: dict[tuple[str, str], Json] = {
    ("spec.externalName", "db.example"): {"type": "ExternalName"},
    ("spec.type", "ExternalName"): {"externalName": "db.example"},
    ("spec.sessionAffinityConfig", ""): {"sessionAffinity": "ClientIP"},
}


def rows() -> list[tuple[str, str, Any, str, str]]:
    """``(kind, field, example, decision, why)``."""
    found = []
    for section in re.split(r"^## ", DOCUMENT, flags=re.M)[1:]:
        kind = {"Services": "Service", "EndpointSlices": "EndpointSlice"}.get(
            title := section.split("\n", 1)[0], title
        )
        for row in re.findall(r"^\| `(\S+)` \| `(.*?)` \| (.*?) \| (.*?) \|$", section, re.M):
            field, example, decision, why = row
            found.append((kind, field, orjson.loads(example), decision, why))
    return found


def put(document: Json, path: str, value: object) -> None:
    """Set a field; what is before ``[]`` is a list, of which the first is meant."""
    *steps, last = path.split(".")
    for step in steps:
        if step.endswith("[]"):
            document = document.setdefault(step[:-2], [{}])[0]
        else:
            document = document.setdefault(step, {})
    document[last] = value


def got(document: Json, path: str) -> object:
    """The field, or None where it is not there."""
    found: Any = document
    for step in path.split("."):
        found = found.get(step.removesuffix("[]"))
        if step.endswith("[]") and found is not None:
            found = found[0]
        if found is None:
            return None
    return found


def source_objects() -> dict[str, Json]:
    port = {"name": "p", "port": 80, "protocol": "TCP"}
    return {
        "Service": {
            "metadata": {"name": "x", "namespace": "a"},
            "spec": {"clusterIP": "172.20.0.9", "ports": [{**port, "targetPort": 80}]},
        },
        "Endpoints": {
            "metadata": {"name": "x", "namespace": "a"},
            "subsets": [{"addresses": [{"ip": "10.1.0.9"}], "ports": [dict(port)]}],
        },
        "EndpointSlice": {
            "metadata": {"name": "x-1", "namespace": "a", "labels": {SERVICE_NAME: "x"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.9"]}],
            "ports": [dict(port)],
        },
    }


def mirror_of(objects: dict[str, Json], kind: str) -> Json:
    slices = [objects["EndpointSlice"]] if kind == "EndpointSlice" else []
    plan = plan_of(alone(exporting(objects["Service"], objects["Endpoints"], slices=slices)))
    (document,) = (
        action.document
        for action in plan.actions
        if isinstance(action, Create) and action.resource.kind == kind
    )
    return document


@pytest.mark.parametrize(
    ("kind", "field", "example", "decision"),
    [pytest.param(*row[:4], id=f"{row[0]} {row[1]} {row[2]}") for row in rows()],
)
def test_a_field_becomes_what_the_table_says(
    kind: str, field: str, example: object, decision: str
) -> None:
    """Copied: the same; dropped: nowhere; else: the value that stands there."""
    objects = source_objects()
    for (name, value), more in WITH.items():
        if field == name and value in ("", example):
            objects[kind]["spec"] |= more
    if "labels" in field and kind == "EndpointSlice":
        assert isinstance(example, dict)
        objects[kind]["metadata"]["labels"] |= example
    else:
        put(objects[kind], field, example)
    if field.startswith("subsets[].notReadyAddresses[]."):
        put(objects[kind], "subsets[].notReadyAddresses[].ip", "10.1.0.1")
    found = got(mirror_of(objects, kind), field)
    if decision == "dropped":
        assert found is None
    elif decision == "copied":
        if isinstance(example, dict) and isinstance(found, dict):
            assert example.items() <= found.items()
        else:
            assert found == example
    else:
        assert found == orjson.loads(decision.strip("`"))


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_has_a_row(kind: str) -> None:
    """And no row is of a field that is not there."""
    assert {row[1] for row in rows() if row[0] == kind} == FIELDS[kind]


def test_every_row_says_why() -> None:
    """In one clause; and no row of the file was missed by the reader of this test."""
    found = rows()
    assert all(why for *_, why in found)
    assert len(found) == len(re.findall(r"^\| `[a-z]", DOCUMENT, re.M))


def test_not_ready_addresses_are_copied_where_they_are_published() -> None:
    """With their hostnames, as the rows say."""
    objects = source_objects()
    objects["Service"]["spec"]["publishNotReadyAddresses"] = True
    address = {"ip": "10.1.0.1", "hostname": "x-0"}
    objects["Endpoints"]["subsets"][0]["notReadyAddresses"] = [{**address, "nodeName": "node-1"}]
    (subset,) = mirror_of(objects, "Endpoints")["subsets"]
    assert subset["notReadyAddresses"] == [address]
