"""What the host knows and lets us do: its version, what it serves, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.logger import Logger

from ..kube.objects import Json, Record
from ..kube.resources import ENDPOINTSLICES
from ..kube.server import ServerInfo
from ..kube.status import ApiError
from ..kube.text import shown
from ..listwatch.probe import ABSENT
from ..mirror.features import Features, features_of
from ..reasons import Code
from ..store.versioned import Store

#: What the role of the manifest says of EndpointSlices; that of older versions has less.
RULE = (
    "apiGroups [discovery.k8s.io], resources [endpointslices],"
    " verbs [list, watch, create, update, delete]"
)


class Abilities:
    """
    :ivar slices: the host's EndpointSlices, None where it is not known to serve them.
    :ivar forbidden: whether it has refused to list them.
    :param server: what the host has told, None as long as it has not.
    :param services: the host's.
    """

    log = Logger()

    def __init__(self, server: Callable[[], ServerInfo | None], services: Store) -> None:
        self.slices: Store | None = None
        self._server = server
        self._services = services
        self.forbidden = False
        self._api_service: Record | None = None
        self._family = ""

    def host_changed(self) -> None:
        """The host is of another version: what it refused so far, it may take."""
        self.forbidden = False

    def troubled(self, error: Exception) -> None:
        """To list or watch the host's slices has failed. One that was listed before is believed to
        come back: writes tell soon enough whether it takes them."""
        assert self.slices is not None
        if self.slices.synced or not isinstance(error, ApiError) or error.code not in ABSENT:
            return
        if not self.forbidden:
            self.log.warn(
                "the host does not let us list EndpointSlices, so mirrors have Endpoints only. A"
                " role that lets us has this rule: {rule}. It said: {error}",
                reason=Code.SLICES_FORBIDDEN,
                rule=RULE,
                error=shown(error.message),
            )
        self.forbidden = True

    def features(self) -> Features | None:
        """None as long as the host has not told its version."""
        server = self._server()
        if server is None:
            return None
        told = features_of(server)
        served = self.slices is not None and server.entry(ENDPOINTSLICES) is not None
        listed = self.slices is not None and (self.slices.synced or not self.forbidden)
        return replace(
            told, endpoint_slices=told.endpoint_slices and served and listed, family=self.family()
        )

    def family(self) -> str:
        """The host's first IP family, as its own API's Service tells it; else ``""``."""
        record = self._services.get("default/kubernetes")
        if record is not self._api_service:
            self._api_service = record
            self._family = first_family(record.document()) if record is not None else ""
        return self._family


def first_family(service: Json) -> str:
    """The first IP family of a Service with a cluster IP, ``""`` where it tells none."""
    spec = service.get("spec") or {}
    families = spec.get("ipFamilies")
    if isinstance(families, list) and families and families[0] in ("IPv4", "IPv6"):
        return str(families[0])
    address = str(spec.get("clusterIP") or "")
    if ":" in address:
        return "IPv6"
    return "IPv4" if "." in address else ""
