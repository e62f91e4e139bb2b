"""The reason code of each status that a plan can end in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from test_mirror_ownership import SERVICE, endpoints, exporting, mirror_of, service, without

from servicereflector.kube.objects import Json, Record, record_of
from servicereflector.kube.resources import ENDPOINTSLICES, NAMESPACES
from servicereflector.mirror.admission import Admission
from servicereflector.mirror.features import Features
from servicereflector.mirror.freshness import Freshness
from servicereflector.mirror.plan import make_plan
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.slices import slice_name
from servicereflector.mirror.states import HostState, SourceState, State
from servicereflector.reasons import Code
from servicereflector.testing import strategies as kube

EAST = exporting("east")
MIRROR = mirror_of("east")
NOBODY = HostState()
FAMILY: Json = {**SERVICE, "spec": {"type": "ClusterIP", "ipFamilies": ["IPv6"]}}
UNREADY: Json = {**SERVICE, "spec": {"publishNotReadyAddresses": True}}
EXTERNAL: Json = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "127.0.0.1"}}
PORT: Json = {**SERVICE, "spec": {"type": "ClusterIP", "ports": [{"port": 22}]}}
LOOPBACK: Json = {
    "metadata": SERVICE["metadata"],
    "subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]}],
}
SLICE: Json = {
    "metadata": {
        "name": "x-1",
        "namespace": "a",
        "labels": {"kubernetes.io/service-name": "x"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.0.1"]}],
    "ports": [{"port": 80}],
}


def namespace(**metadata: str) -> Record:
    return record_of(NAMESPACES, {"metadata": {"name": "a", **metadata}})


def stranger() -> Record:
    named = {**SLICE["metadata"], "name": slice_name("x", "east", "x-1"), "uid": "u"}
    return record_of(ENDPOINTSLICES, {**SLICE, "metadata": named})


def mirror_with_families() -> HostState:
    held = MIRROR.service
    assert held is not None
    document = held.document()
    spec = {**document["spec"], "ipFamilies": ["IPv4"], "clusterIP": "10.96.0.1"}
    return replace(MIRROR, service=service({**document, "spec": spec}))


@pytest.mark.parametrize(
    ("code", "state", "sources", "host", "features", "policy"),
    [
        (Code.MIRRORED, State.MIRRORED, [EAST], NOBODY, Features(), Policy()),
        (
            Code.ADDRESS_REFUSED,
            State.MIRRORED,
            [replace(EAST, endpoints=endpoints(LOOPBACK))],
            NOBODY,
            Features(),
            Policy(),
        ),
        (
            Code.ADDRESS_REFUSED,
            State.REFUSED,
            [replace(EAST, service=service(EXTERNAL))],
            NOBODY,
            Features(),
            Policy(),
        ),
        (
            Code.FIELD_LEFT_OUT,
            State.MIRRORED,
            [
                replace(
                    EAST, service=service({**SERVICE, "spec": {"publishNotReadyAddresses": True}})
                )
            ],
            NOBODY,
            Features(refused={("spec.publishNotReadyAddresses", "true"): "no"}),
            Policy(),
        ),
        (
            Code.FAMILY_FIXED,
            State.MIRRORED,
            [replace(EAST, service=service(FAMILY))],
            mirror_with_families(),
            Features(),
            Policy(),
        ),
        (
            Code.SLICE_TAKEN,
            State.MIRRORED,
            [replace(EAST, slices=kube.slice_records([SLICE]))],
            HostState(slices=(stranger(),)),
            Features(),
            Policy(),
        ),
        (
            Code.NAME_SHARED,
            State.MIRRORED,
            [replace(EAST, rivals=("b/x",))],
            NOBODY,
            Features(),
            Policy(),
        ),
        (Code.NOT_LISTED, State.MIRRORED, [without("east", synced=False)], MIRROR, *2 * [None]),
        (
            Code.NOT_LISTED,
            State.MIRRORED,
            [without("east"), SourceState("north", False, awaited=True)],
            MIRROR,
            *2 * [None],
        ),
        (
            Code.OBJECT_REJECTED,
            State.MIRRORED,
            [replace(without("east"), rejected=True)],
            MIRROR,
            *2 * [None],
        ),
        (
            Code.NO_ENDPOINTS,
            State.PENDING,
            [replace(EAST, endpoints=None)],
            NOBODY,
            None,
            None,
        ),
        (
            Code.NAMESPACE_MISSING,
            State.PENDING,
            [EAST],
            NOBODY,
            None,
            Policy(create_namespaces=False),
        ),
        (
            Code.NAMESPACE_TERMINATING,
            State.PENDING,
            [EAST],
            HostState(namespace(deletionTimestamp="2026-01-01T00:00:00Z")),
            None,
            None,
        ),
        (Code.NAME_TAKEN, State.CONFLICT, [EAST], HostState(None, service()), None, None),
        (
            Code.ENDPOINTS_TAKEN,
            State.CONFLICT,
            [EAST],
            HostState(None, None, endpoints()),
            None,
            None,
        ),
        (Code.HELD, State.HELD, [replace(without("east"), held=True)], MIRROR, None, None),
        (
            Code.STALE,
            State.STALE,
            [replace(EAST, freshness=Freshness.STALE, rivals=("b/x",))],
            MIRROR,
            None,
            None,
        ),
        (
            Code.WITHDRAWN,
            State.WITHDRAWN,
            [replace(EAST, freshness=Freshness.REMOVED)],
            MIRROR,
            None,
            None,
        ),
        (Code.ORPHANED, State.ORPHANED, [], MIRROR, None, None),
        (
            Code.NAMESPACE_REFUSED,
            State.REFUSED,
            [EAST],
            NOBODY,
            None,
            Policy(denied_namespaces=("a",)),
        ),
        (
            Code.PORT_REFUSED,
            State.REFUSED,
            [replace(EAST, service=service(PORT), admission=Admission(denied_ports=((22, 22),)))],
            NOBODY,
            None,
            None,
        ),
        (
            Code.EXTERNAL_NAME_REFUSED,
            State.REFUSED,
            [replace(EAST, service=service(EXTERNAL))],
            NOBODY,
            None,
            Policy(external_names=False),
        ),
    ],
)
def test_a_status_has_the_code_of_its_cause(
    code: Code,
    state: State,
    sources: Sequence[SourceState],
    host: HostState,
    features: Features | None,
    policy: Policy | None,
) -> None:
    """In whatever state: the state tells what has become of a name, the code why."""
    plan = make_plan("a/x", sources, host, features or Features(), policy or Policy())
    status = plan.statuses["east"]
    assert (status.code, status.state) == (code, state), status.reason


def test_who_stands_by_has_a_code() -> None:
    plan = make_plan("a/x", [EAST, exporting("south")], NOBODY, Features())
    assert plan.statuses["south"].code is Code.STANDBY
