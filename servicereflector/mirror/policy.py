"""What the operator has decided about mirrors, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class EndpointsApi(str, Enum):
    """In which API a mirror's addresses are written. A Service of the host's own has both."""

    BOTH = "both"
    ENDPOINTS = "endpoints"
    ENDPOINTSLICES = "endpointslices"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    :ivar prune: whether mirrors of sources that are not configured are deleted.
    :ivar external_names: whether Services of the type ExternalName are mirrored.
    :ivar hints: whether the zone hints of a source's slices are copied.
    """

    prune: bool = False
    endpoints_api: EndpointsApi = EndpointsApi.BOTH
    external_names: bool = True
    hints: bool = False


#: What holds where the operator says nothing.
DEFAULT = Policy()
