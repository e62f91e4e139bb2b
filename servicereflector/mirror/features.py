"""What the host's API version knows, so that no field is sent that it would drop or refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Features:
    """
    :ivar ip_families: spec.ipFamilyPolicy, on by default from 1.21.
    :ivar internal_traffic_policy: spec.internalTrafficPolicy, on by default from 1.22.
    :ivar traffic_distribution: spec.trafficDistribution, on by default from 1.31.
    """

    ip_families: bool = True
    internal_traffic_policy: bool = True
    traffic_distribution: bool = True


def features_of(version: Mapping[str, object]) -> Features:
    """The features of the server with this ``/version``; an unreadable one is the newest."""
    found = re.match(r"\d+", str(version.get("minor", "")))
    minor = int(found[0]) if found and str(version.get("major", "1")) == "1" else 999
    return Features(
        ip_families=minor >= 21,
        internal_traffic_policy=minor >= 22,
        traffic_distribution=minor >= 31,
    )
