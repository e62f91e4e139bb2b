"""The Python client lists and watches, and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from e2e.clusters import Cluster
from kubernetes import client, watch


@pytest.fixture
def api(emitter: str) -> Iterator[client.CoreV1Api]:
    with client.ApiClient(client.Configuration(host=emitter)) as connection:
        yield client.CoreV1Api(connection)


def test_a_watch_tells_every_change_and_resumes(api: client.CoreV1Api, cluster: Cluster) -> None:
    begin = api.list_service_for_all_namespaces()
    assert {s.metadata.name for s in begin.items} >= {"cart", "gate", "out", "till"}
    version = begin.metadata.resource_version
    cluster.create("services", "shop/py", spec={"clusterIP": "None"})
    cluster.change("services", "shop/py", lambda s: s["metadata"].update(labels={"a": "b"}))
    assert (first := _told(api, version, 2))[:2] == [("ADDED", "py"), ("MODIFIED", "py")]
    cluster.delete("services", "shop/py")
    assert _told(api, first[-1], 1)[0] == ("DELETED", "py")


def test_a_version_that_is_too_old_is_expired(api: client.CoreV1Api) -> None:
    with pytest.raises(client.ApiException) as raised:
        _told(api, "1", 1)
    assert raised.value.status == 410
    assert raised.value.reason.startswith("Expired: too old resource version: 1")


def _told(api: client.CoreV1Api, version: Any, count: int) -> list[Any]:
    """The next events from a version on, and the version of the last."""
    told: list[Any] = []
    watching = watch.Watch()
    for event in watching.stream(
        api.list_service_for_all_namespaces,
        resource_version=version,
        timeout_seconds=20,
        _request_timeout=20,
    ):
        told.append((event["type"], event["object"].metadata.name))
        if len(told) == count:
            watching.stop()
            return [*told, event["object"].metadata.resource_version]
    raise AssertionError(told)
