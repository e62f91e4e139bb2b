"""What a watch tells: which events, in which order, under which versions, until when."""

from __future__ import annotations

from typing import Any

import pytest

from servicereflector.emitter.listoptions import streams_lists
from servicereflector.kube.resources import ENDPOINTS, SERVICES, Resource

from .api import Api, ensured


def version_of(document: dict[str, Any]) -> int:
    return int(document["metadata"]["resourceVersion"])


async def now(api: Api, resource: Resource = SERVICES) -> str:
    """The version of a fresh list."""
    version: str = (await api.list(resource))["metadata"]["resourceVersion"]
    return version


async def label(api: Api, name: str, **labels: str) -> dict[str, Any]:
    document = await api.get(SERVICES, name)
    document["metadata"]["labels"] = labels
    return await api.update(SERVICES, document)


@ensured
async def test_changes_come_as_they_happen(api: Api) -> None:
    watching = await api.watch(SERVICES, await now(api))
    created = await api.create(SERVICES, api.service("a"))
    assert await watching.next() == ("ADDED", created)
    updated = await label(api, "a", changed="yes")
    assert await watching.next() == ("MODIFIED", updated)
    await api.delete(SERVICES, "a")
    kind, deleted = await watching.next()
    assert kind == "DELETED"
    assert deleted["metadata"]["uid"] == created["metadata"]["uid"]


@ensured
async def test_what_happened_since_the_version_comes_first(api: Api) -> None:
    version = await now(api)
    for name in ("b", "a", "c"):
        await api.create(SERVICES, api.service(name))
    await api.delete(SERVICES, "a")
    watching = await api.watch(SERVICES, version)
    assert await watching.names(4) == [
        ("ADDED", "b"),
        ("ADDED", "a"),
        ("ADDED", "c"),
        ("DELETED", "a"),
    ]


@ensured
async def test_the_version_itself_is_not_repeated(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    watching = await api.watch(SERVICES, created["metadata"]["resourceVersion"])
    await api.create(SERVICES, api.service("b"))
    assert await watching.names(1) == [("ADDED", "b")]


@ensured
async def test_versions_of_events_increase(api: Api) -> None:
    watching = await api.watch(SERVICES, await now(api))
    for name in ("a", "b"):
        await api.create(SERVICES, api.service(name))
    await label(api, "a", changed="yes")
    await api.delete(SERVICES, "b")
    versions = [version_of((await watching.next())[1]) for _ in range(4)]
    assert versions == sorted(set(versions))


@ensured
async def test_a_deletion_has_a_version_of_its_own(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    watching = await api.watch(SERVICES, created["metadata"]["resourceVersion"])
    await api.delete(SERVICES, "a")
    kind, deleted = await watching.next()
    assert kind == "DELETED"
    assert version_of(deleted) > version_of(created)
    assert deleted["spec"] == created["spec"]


@ensured
async def test_an_update_that_changes_nothing_is_no_event(api: Api) -> None:
    document = await api.create(SERVICES, api.service("a"))
    watching = await api.watch(SERVICES, document["metadata"]["resourceVersion"])
    await api.update(SERVICES, document)
    await api.create(SERVICES, api.service("b"))
    assert await watching.names(1) == [("ADDED", "b")]


@ensured
async def test_a_watch_without_a_version_begins_with_what_is_there(api: Api) -> None:
    for name in ("a", "b"):
        await api.create(SERVICES, api.service(name))
    watching = await api.watch(SERVICES, "")
    # 1.20 sends them in the order of a hash table, later versions by their keys.
    assert sorted(await watching.names(2)) == [("ADDED", "a"), ("ADDED", "b")]
    if streams_lists(api.minor):
        assert await watching.names(1) == [("BOOKMARK", "")]
    await api.create(SERVICES, api.service("c"))
    assert await watching.names(1) == [("ADDED", "c")]


@ensured
async def test_a_watch_from_version_0_begins_with_what_is_there(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    watching = await api.watch(SERVICES, created["metadata"]["resourceVersion"])
    await api.create(SERVICES, api.service("b"))
    assert await watching.names(1) == [("ADDED", "b")]  # so the cache has it
    watching = await api.watch(SERVICES, "0")
    assert sorted(await watching.names(2)) == [("ADDED", "a"), ("ADDED", "b")]


@ensured
async def test_a_change_of_labels_moves_an_object_in_and_out(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    watching = await api.watch(
        SERVICES, created["metadata"]["resourceVersion"], label_selector="tier=web"
    )
    entered = await label(api, "a", tier="web")
    assert await watching.next() == ("ADDED", entered)
    stayed = await label(api, "a", tier="web", more="x")
    assert await watching.next() == ("MODIFIED", stayed)
    left = await label(api, "a", tier="db")
    kind, last = await watching.next()
    assert kind == "DELETED"
    assert last["metadata"]["labels"] == {"tier": "web", "more": "x"}, "its state before it left"
    assert version_of(last) == version_of(left)


@ensured
async def test_what_the_selector_does_not_choose_is_not_seen(api: Api) -> None:
    watching = await api.watch(SERVICES, await now(api), label_selector="tier=web")
    await api.create(SERVICES, api.service("a"))
    await label(api, "a", tier="db")
    await api.delete(SERVICES, "a")
    await api.create(SERVICES, api.service("b"))
    await label(api, "b", tier="web")
    assert await watching.names(1) == [("ADDED", "b")]


@ensured
async def test_a_field_selector_watches_one_object(api: Api) -> None:
    watching = await api.watch(SERVICES, await now(api), field_selector="metadata.name=b")
    for name in ("a", "b"):
        await api.create(SERVICES, api.service(name))
    assert await watching.names(1) == [("ADDED", "b")]


@ensured
async def test_deleting_a_service_is_an_event_of_its_endpoints_too(api: Api) -> None:
    await api.create(SERVICES, api.service("a"))
    created = await api.create(ENDPOINTS, api.endpoints("a"))
    watching = await api.watch(ENDPOINTS, created["metadata"]["resourceVersion"])
    await api.delete(SERVICES, "a")
    assert await watching.names(1) == [("DELETED", "a")]


@ensured
async def test_a_watch_ends_in_good_form_at_its_time(api: Api) -> None:
    watching = await api.watch(SERVICES, await now(api), timeout_seconds=1)
    assert await watching.next() == ("END", {})


@ensured
async def test_a_bookmark_comes_before_the_end(api: Api) -> None:
    """A client resumes from it. The real server sends it about two seconds before the end, and
    perhaps another; the embedded one sends it with the end."""
    watching = await api.watch(SERVICES, await now(api), timeout_seconds=4)
    created = await api.create(SERVICES, api.service("a"))
    assert await watching.names(1) == [("ADDED", "a")]
    events: list[tuple[str, dict[str, Any]]] = []
    while not events or events[-1][0] != "END":
        events.append(await watching.next())
    kind, bookmark = events[-2]
    assert kind == "BOOKMARK"
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Service", "v1")
    assert version_of(bookmark) >= version_of(created)
    # 1.20 writes a creationTimestamp of null beside it.
    assert set(bookmark["metadata"]) - {"creationTimestamp"} == {"resourceVersion"}


@pytest.mark.parametrize("selector", ["a==b==c", "a,"])
@ensured
async def test_a_malformed_selector_is_refused(api: Api, selector: str) -> None:
    refused = await api.refusal(api.watch(SERVICES, "", label_selector=selector))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_a_version_that_is_no_number_is_refused(api: Api) -> None:
    refused = await api.refusal(api.watch(SERVICES, "abc"))
    assert refused.code in (400, 500)  # 500 without a reason where the storage looks at it first
