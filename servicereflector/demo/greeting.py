"""What the demo says first: what is running, and what to type next. Values in, lines out."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..embedded.cluster import Cluster
from ..kube.resources import ENDPOINTS, NAMESPACES, SERVICES

#: What is there from the beginning: one to be mirrored, and one that both clusters have.
MIRRORED, DISPUTED = "cart", "till"
NAMESPACE = "shop"

_MANIFEST = """\
{apiVersion: v1, kind: Service, metadata: {name: cart},
 spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: cart},
 subsets: [{addresses: [{ip: 10.9.0.1}], ports: [{port: 8080}]}]}
EOF"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster is reached.

    :ivar kubeconfig: ``""`` where there is none.
    :ivar moved: a line for each port that was taken.
    """

    name: str
    api_url: str
    emitter_url: str
    health_url: str
    kubeconfig: str = ""
    moved: Sequence[str] = ()

    @property
    def kubectl(self) -> str:
        if self.kubeconfig:
            return f"kubectl --kubeconfig {shlex.quote(self.kubeconfig)}"
        return f"kubectl --server {self.api_url}"


def furnish(east: Cluster, west: Cluster) -> None:
    """Create what the greeting speaks of."""
    for cluster in (east, west):
        cluster.create(NAMESPACES, "", {"metadata": {"name": NAMESPACE}})
    for cluster, name, ip in (
        (east, MIRRORED, "10.9.1.1"),
        (east, DISPUTED, "10.9.1.2"),
        (west, DISPUTED, "10.9.2.1"),
    ):
        service = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
        cluster.create(SERVICES, NAMESPACE, service)
        subsets = [{"addresses": [{"ip": ip}], "ports": [{"port": 8080}]}]
        cluster.create(ENDPOINTS, NAMESPACE, {"metadata": {"name": name}, "subsets": subsets})


def greeting(east: Place, west: Place, command: str, admin_socket: str) -> Iterator[str]:
    """
    :param command: how this program is called.
    :param admin_socket: of west.
    """
    yield "Two clusters in memory, each mirroring the other's Services:"
    yield ""
    for place in (east, west):
        yield f"  {place.name}   API {place.api_url}   Emitter {place.emitter_url}"
        yield f"         status {place.health_url}/   metrics {place.health_url}/metrics"
        yield from (f"         {line}" for line in place.moved)
    yield ""
    yield f"East's Service {NAMESPACE}/{MIRRORED} is mirrored into west. Each has a Service"
    yield f"{NAMESPACE}/{DISPUTED} of its own, a conflict. See both, ask why, and end it,"
    yield "in another terminal:"
    yield ""
    # At the beginning of the line, or the end of the text after << would be none when copied.
    yield f"{west.kubectl} -n {NAMESPACE} get services,endpoints"
    yield f"{command} explain {NAMESPACE}/{DISPUTED} --admin-socket {shlex.quote(admin_socket)}"
    yield f"{west.kubectl} -n {NAMESPACE} delete service {DISPUTED}"
    yield ""
    yield "Create a Service in east, look at its mirror in west, and delete it:"
    yield ""
    yield f"{east.kubectl} apply -f - <<'EOF'"
    yield from _MANIFEST.splitlines()
    yield f"{west.kubectl} get services,endpoints cart -o yaml"
    yield f"{east.kubectl} delete service cart"
    yield ""


def own_command() -> str:
    """What to type for this program, here."""
    if shutil.which("service-reflector"):
        return "service-reflector"
    script = Path(sys.executable).with_name("service-reflector")
    if script.is_file():
        return shlex.quote(str(script))
    return f"{shlex.quote(sys.executable)} -m servicereflector"
