"""What the host's API version knows, so that no field is sent that it would drop or refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..kube.server import ServerInfo

#: spec.trafficDistribution: each value with the minor version that takes it by default.
_DISTRIBUTIONS = {"PreferClose": 31, "PreferSameZone": 34, "PreferSameNode": 34}


@dataclass(frozen=True, slots=True)
class Features:
    """
    :ivar ip_families: spec.ipFamilyPolicy and spec.ipFamilies, on by default from 1.21.
    :ivar internal_traffic_policy: spec.internalTrafficPolicy, on by default from 1.22.
    :ivar traffic_distributions: the values of spec.trafficDistribution, from 1.31.
    :ivar endpoint_slices: whether it serves discovery.k8s.io/v1 (from 1.21) and lets us write it.
    :ivar family: its first IP family, ``""`` where that is not known.
    :ivar refused: why it refused a value of an optional field of a Service, by the field and the
        value's canonical JSON.
    :ivar serving_conditions: serving and terminating of slices' endpoints, on by default from 1.22.
    :ivar hints: of slices' endpoints, on by default from 1.24.
    """

    ip_families: bool = True
    internal_traffic_policy: bool = True
    traffic_distributions: frozenset[str] = frozenset(_DISTRIBUTIONS)
    endpoint_slices: bool = True
    family: str = ""
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    serving_conditions: bool = True
    hints: bool = True


def features_of(server: ServerInfo) -> Features:
    """The features of a server of this version."""
    minor = server.minor
    return Features(
        ip_families=minor >= 21,
        internal_traffic_policy=minor >= 22,
        traffic_distributions=frozenset(v for v, since in _DISTRIBUTIONS.items() if minor >= since),
        endpoint_slices=minor >= 21,
        serving_conditions=minor >= 22,
        hints=minor >= 24,
    )
