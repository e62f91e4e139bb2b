"""The fence: no write begins that may not."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from servicereflector.election.fence import Fence, Fenced
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import SERVICES, Resource

DOCUMENT = {"metadata": {"namespace": "shop", "name": "cart"}}
PRECONDITIONS = {"uid": "u", "resource_version": "7"}


class Recording:
    """A Writer that writes nothing down but what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def create(self, resource: Resource, document: Json) -> Json:
        self.asked.append(("create", resource, document))
        return {"made": True}

    async def update(self, resource: Resource, document: Json) -> Json:
        self.asked.append(("update", resource, document))
        return {"changed": True}

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None:
        self.asked.append(("delete", resource, namespace, name, uid, resource_version))


def result(work: Coroutine[Any, Any, Any]) -> object:
    found: list[object] = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    return getattr(found[0], "value", found[0])


def writes(fence: Fence) -> list[Coroutine[Any, Any, Any]]:
    return [
        fence.create(SERVICES, DOCUMENT),
        fence.update(SERVICES, DOCUMENT),
        fence.delete(SERVICES, "shop", "cart", **PRECONDITIONS),
    ]


def test_a_leaders_writes_go_through_as_they_are() -> None:
    """And their answers."""
    writer = Recording()
    told = [result(work) for work in writes(Fence(writer, lambda: True))]
    assert told == [{"made": True}, {"changed": True}, None]
    assert writer.asked == [
        ("create", SERVICES, DOCUMENT),
        ("update", SERVICES, DOCUMENT),
        ("delete", SERVICES, "shop", "cart", "u", "7"),
    ]


@pytest.mark.parametrize("kind", range(3), ids=["create", "update", "delete"])
def test_it_asks_when_the_write_begins(kind: int) -> None:
    """Not when it was asked for."""
    writer, may = Recording(), [True]
    for number, work in enumerate(writes(Fence(writer, lambda: may[0]))):
        if number != kind:
            work.close()
            continue
        may[0] = False
        refused = result(work)
        assert isinstance(refused, Fenced)
        assert str(refused) == "this replica does not lead"
    assert writer.asked == []
