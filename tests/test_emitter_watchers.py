"""Watchers over HTTP through any faults: each has what a list of its view has, event by event."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from servicereflector.client.bodies import Watch
from servicereflector.kube.objects import Json, key_of
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.status import ApiError
from servicereflector.program import Roles
from servicereflector.testing.clusters import Mesh, service

#: Few, so that most of what is drawn happens to something that is watched.
keys = st.sampled_from(("a/x", "a-b/x", "a/y", "b/x"))
label_maps = st.sampled_from(({}, {"app": "a"}, {"app": "b"}, {"app": "a", "n": "1"}))

FAULTS = ("cut", "cut upstream", "restart", "settle", "wait", "read")

writes = st.tuples(st.sampled_from(("put", "put", "delete")), keys, label_maps)
steps = st.lists(
    writes | writes | st.tuples(st.sampled_from(FAULTS), st.just(""), st.just({})),
    min_size=3,
    max_size=40,
)

scopes = st.tuples(
    st.sampled_from(("", "", "a")),
    st.sampled_from(("", "", "app=a", "app!=a", "app,!n")),
    st.sampled_from(("", "", "metadata.name=x", "metadata.name!=x", "metadata.namespace=a")),
)


class Watcher:
    """A client that lists once, watches on from there, and comes back at its last version."""

    def __init__(self, mesh: Mesh, scope: tuple[str, str, str]) -> None:
        self.mesh = mesh
        assert mesh["east"].emitter is not None
        self.client = mesh["east"].emitter.client()
        namespace, labels, fields = scope
        self.scope: dict[str, Any] = {
            "namespace": namespace,
            "label_selector": labels,
            "field_selector": fields,
        }
        self.state: dict[str, Json] = {}
        self.version = 0
        self.lists = 0
        self.data = bytearray()
        self.watch: Watch | None = None
        self.ended = True

    def listed(self) -> tuple[dict[str, Json], int]:
        document = orjson.loads(self.wait(self.client.list(SERVICES, **self.scope)))
        items = {_key(item): item for item in document["items"]}
        return items, int(document["metadata"]["resourceVersion"])

    def wait(self, work: Any) -> Any:
        return self.mesh.network.wait(work, seconds=10)

    def begin(self) -> None:
        self.state, self.version = self.listed()
        self.lists += 1
        self.open()

    def open(self) -> None:
        """Watch on. An answer of 410 is an event; what is left of a broken line is thrown away."""
        self.data.clear()
        self.ended = False
        try:
            self.watch = self.wait(
                self.client.watch(
                    SERVICES,
                    resource_version=str(self.version),
                    timeout_seconds=40,
                    on_data=self.data.extend,
                    on_end=lambda _: setattr(self, "ended", True),
                    **self.scope,
                )
            )
        except (ApiError, OSError):
            self.ended = True

    def read(self) -> None:
        """Take what has come; come back where it has ended."""
        *lines, rest = bytes(self.data).split(b"\n")
        self.data[:] = rest
        for line in lines:
            if not self.took(orjson.loads(line)):
                self.stop()
                self.begin()
                return
        if self.ended:
            self.open()

    def took(self, event: Json) -> bool:
        document = event["object"]
        if event["type"] == "ERROR":
            assert document["code"] == 410, document
            return False
        version = int(document["metadata"]["resourceVersion"])
        if event["type"] == "BOOKMARK":
            assert version >= self.version
            self.version = version
            return True
        assert version > self.version, "out of order, or sent twice"
        self.version = version
        key = _key(document)
        assert (key in self.state) == (event["type"] != "ADDED"), event
        self.state.pop(key, None)
        if event["type"] != "DELETED":
            self.state[key] = {k: v for k, v in document.items() if k not in _TYPE}
        return True

    def stop(self) -> None:
        if self.watch is not None and not self.ended:
            self.watch.stop()


_TYPE = ("kind", "apiVersion")


def _key(document: Json) -> str:
    return key_of(document["metadata"]["namespace"], document["metadata"]["name"])


@settings(deadline=None)
@given(steps=steps, scopes=st.lists(scopes, min_size=1, max_size=3))
def test_what_each_watcher_has_assembled_is_what_a_list_has(
    steps: list[tuple[str, str, dict[str, str]]], scopes: list[tuple[str, str, str]]
) -> None:
    """Whatever is written and whatever breaks: nothing is missed, repeated or invented."""
    mesh = Mesh()
    east = mesh.join("east", roles=Roles(emitted=LabelSelector()))
    mesh.advance(2)
    watchers = [Watcher(mesh, scope) for scope in scopes]
    try:
        for watcher in watchers:
            watcher.begin()
        for what, key, labels in steps:
            match what:
                case "put":
                    east.cluster.put(SERVICES, service(key, labels=labels))
                case "delete" if east.cluster.get(SERVICES, key) is not None:
                    east.cluster.delete(SERVICES, key)
                case "cut":
                    assert east.emitter is not None
                    east.emitter.cut()
                case "cut upstream":
                    east.cluster.server.cut()
                case "restart":
                    # A new Emitter lists anew: its history begins there.
                    east.restart()
                case "settle":
                    mesh.settle()
                case "wait":
                    mesh.advance(15)
                case "read":
                    for watcher in watchers:
                        watcher.read()
        mesh.advance(45)
        for watcher in watchers:
            watcher.read()
            mesh.settle()
            watcher.read()
            fresh, _ = watcher.listed()
            assert watcher.state == fresh
    finally:
        for watcher in watchers:
            watcher.stop()
            mesh.network.wait(watcher.client.close(), seconds=10)
        mesh.stop()
