"""A tour of all that the program does, for tests of what it needs for that."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from servicereflector.kube.annotations import REFLECTED

from .clusters import SOURCE, Cluster, Json, RunningProgram, eventually, fetch


@dataclass(frozen=True)
class Stage:
    """Where it takes place.

    :ivar here: a namespace that the host has.
    :ivar created: one that the program is to create; the same where it may not.
    """

    east: Cluster
    host: Cluster
    here: str
    created: str

    def prepare(self, url: str) -> None:
        """Before the program starts: a name that is taken, and a mirror of the Go program's."""
        for namespace in {self.here, self.created}:
            self.east.namespace(namespace)
        self.host.namespace(self.here)
        self.host.export(f"{self.here}/taken", "10.3.0.9")
        marks = {"annotations": {REFLECTED: "true", SOURCE: url}, "labels": {REFLECTED: "true"}}
        self.host.export(f"{self.here}/old", "10.9.9.9", **marks)
        for name in ("taken", "old"):
            self.east.export(f"{self.here}/{name}", "10.9.0.1")


class Tour:
    """All that a Reflector does."""

    def __init__(self, stage: Stage, program: RunningProgram) -> None:
        self.east, self.host, self.program = stage.east, stage.host, program
        self.here, self.created = stage.here, stage.created

    def go(self) -> None:
        before = self.host.identity(f"{self.here}/old")
        self.eventually(lambda: self.host.ips(f"{self.here}/old") == ["10.9.0.1"])
        assert self.host.identity(f"{self.here}/old") == before, "taken over in place"
        self.mirror(f"{self.created}/cart")
        self.repeat_an_event()
        renewed = self.lease()
        self.eventually(lambda: self.lease() > renewed)
        rounds = "service_reflector_comparison_rounds_total"
        self.eventually(lambda: self.program.metric(rounds) >= 1)
        self.restart(f"{self.here}/old")
        assert self.program.metric("service_reflector_reconcile_errors_total") == 0
        assert self.host.source(f"{self.here}/taken") is None

    def eventually(self, look: Callable[[], object]) -> None:
        eventually(self.program.log, look)

    def mirror(self, key: str) -> None:
        """Create, update and delete Services and Endpoints."""
        self.east.export(key, "10.9.0.1")
        self.eventually(lambda: self.host.ips(key) == ["10.9.0.1"])
        self.east.set_ips(key, "10.9.0.2")
        self.eventually(lambda: self.host.ips(key) == ["10.9.0.2"])
        self.east.change("services", key, lambda s: s["spec"].update(ports=[{"port": 81}]))
        self.eventually(lambda: self.spec(key)["ports"][0]["port"] == 81)
        external = {"type": "ExternalName", "externalName": "db.example.com", "clusterIP": ""}
        self.east.change("services", key, lambda s: s.update(spec=external))
        self.eventually(lambda: self.spec(key)["type"] == "ExternalName")
        self.eventually(lambda: self.host.ips(key) is None)
        self.east.delete("services", key)
        self.eventually(lambda: self.host.get("services", key) is None)

    def spec(self, key: str) -> Json:
        found: Json = (self.host.get("services", key) or {})["spec"]
        return found

    def repeat_an_event(self) -> None:
        key = f"{self.here}/taken"

        def told() -> list[Json]:
            return self.host.events(self.here, "NameTaken")

        def told_again() -> bool:
            self.east.delete("services", key)
            self.eventually(lambda: self.program.mirrored("east", "Conflict") == 0)
            self.east.export(key, "10.9.0.1")
            self.eventually(lambda: self.program.mirrored("east", "Conflict") == 1)
            return told()[0]["count"] > 1

        self.eventually(told)
        self.eventually(told_again)
        assert len(told()) == 1

    def lease(self) -> str:
        """When it was last renewed."""
        items = self.host.must("GET", "/apis/coordination.k8s.io/v1/leases")["items"]
        ours = (lease for lease in items if lease["metadata"]["name"] == "service-reflector")
        return max(str(lease["spec"]["renewTime"]) for lease in ours)

    def restart(self, key: str) -> None:
        """Killed; what it missed is made up for."""
        self.program.kill()
        self.east.set_ips(key, "10.9.0.3")
        self.program.start()
        self.eventually(lambda: self.host.ips(key) == ["10.9.0.3"])


def see_what_is_emitted(url: str, stage: Stage, tls: ssl.SSLContext) -> None:
    """What the host has is listed and follows changes; mirrors are not shown."""
    host, namespace = stage.host, stage.here

    def seen(kind: str) -> set[str]:
        code, body = fetch(f"{url}/api/v1/namespaces/{namespace}/{kind}", tls)
        items = json.loads(body)["items"] if code == 200 else ()
        return {item["metadata"]["name"] for item in items}

    for kind in ("services", "endpoints"):
        eventually(f"{kind} are listed", lambda k=kind: "taken" in seen(k))  # type: ignore[misc]
        assert "old" not in seen(kind)
    host.export(f"{namespace}/later", "10.3.0.1")
    for kind in ("services", "endpoints"):
        eventually(f"{kind} follow", lambda k=kind: "later" in seen(k))  # type: ignore[misc]
