"""What a list holds: its order, its version, its selectors, and its pages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES

from .api import Api, ensured


def names(document: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in document["items"]]


async def make(api: Api, *wanted: str, **labels: str) -> None:
    for name in wanted:
        document = api.service(name)
        document["metadata"]["labels"] = labels
        await api.create(SERVICES, document)


@ensured
async def test_a_list_tells_its_kind_and_version(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    listed = await api.list(SERVICES)
    assert (listed["kind"], listed["apiVersion"]) == ("ServiceList", "v1")
    assert int(listed["metadata"]["resourceVersion"]) >= int(created["metadata"]["resourceVersion"])


@ensured
async def test_the_items_are_the_objects_without_kind_and_api_version(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    del created["kind"], created["apiVersion"]
    assert (await api.list(SERVICES))["items"] == [created]


@ensured
async def test_the_items_are_in_the_order_of_their_keys(api: Api) -> None:
    await make(api, "b", "a-b", "a", "c")
    assert names(await api.list(SERVICES)) == ["a", "a-b", "b", "c"]


@ensured
async def test_a_list_of_all_namespaces_goes_by_etcd_keys(api: Api) -> None:
    first = api.namespace
    for suffix in ("", "-x"):
        api.namespace = first + suffix
        if suffix:
            await api.create(NAMESPACES, {"metadata": {"name": api.namespace}})
        await api.create(ENDPOINTS, api.endpoints("a"))
    items = (await api.list(ENDPOINTS, namespace=""))["items"]
    found = [item["metadata"]["namespace"] for item in items]
    assert [name for name in found if name.startswith(first)] == [first + "-x", first]


@ensured
async def test_a_namespace_that_is_not_there_has_an_empty_list(api: Api) -> None:
    listed = await api.list(SERVICES, namespace="nowhere")
    assert listed["items"] == []
    assert int(listed["metadata"]["resourceVersion"]) > 0


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=web", ["a"]),
        ("tier!=web", ["b", "c"]),
        ("tier in (web,db)", ["a", "b"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("tier notin (db),!other", ["a", "c"]),
    ],
)
@ensured
async def test_a_label_selector_chooses(api: Api, selector: str, expected: list[str]) -> None:
    await make(api, "a", tier="web")
    await make(api, "b", tier="db")
    await make(api, "c")
    assert names(await api.list(SERVICES, label_selector=selector)) == expected


@ensured
async def test_a_field_selector_chooses_by_name(api: Api) -> None:
    await make(api, "a", "b")
    assert names(await api.list(SERVICES, field_selector="metadata.name=b")) == ["b"]
    assert names(await api.list(SERVICES, field_selector="metadata.name!=b")) == ["a"]


@pytest.mark.parametrize("selector", ["app in", "a==b==c", "a,", "-a=b"])
@ensured
async def test_a_malformed_label_selector_is_refused(api: Api, selector: str) -> None:
    refused = await api.refusal(api.list(SERVICES, label_selector=selector))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_an_unknown_field_is_refused(api: Api) -> None:
    refused = await api.refusal(api.list(ENDPOINTS, field_selector="spec.x=1"))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_pages_join_to_the_whole(api: Api) -> None:
    await make(api, "a", "b", "c", "d", "e")
    pages, token = [], ""
    while True:
        page = await api.list(SERVICES, limit=2, continue_token=token)
        pages.append(names(page))
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


@ensured
async def test_a_page_tells_how_many_follow(api: Api) -> None:
    await make(api, "a", "b", "c", "d", "e")
    page = await api.list(SERVICES, limit=2)
    assert page["metadata"]["remainingItemCount"] == 3


@ensured
async def test_a_selected_page_does_not_tell_how_many_follow(api: Api) -> None:
    await make(api, "a", "b", "c", tier="web")
    page = await api.list(SERVICES, limit=2, label_selector="tier=web")
    assert names(page) == ["a", "b"]
    assert "remainingItemCount" not in page["metadata"]


@ensured
async def test_the_limit_counts_what_is_selected(api: Api) -> None:
    await make(api, "a", "c", "e")
    await make(api, "b", "d", "f", tier="web")
    page = await api.list(SERVICES, limit=2, label_selector="tier=web")
    assert names(page) == ["b", "d"]
    token = page["metadata"]["continue"]
    rest = await api.list(SERVICES, limit=2, label_selector="tier=web", continue_token=token)
    assert names(rest) == ["f"]


@ensured
async def test_pages_show_one_moment(api: Api) -> None:
    """What is written between two pages is not seen, and the version stays the first page's."""
    await make(api, "a", "b", "d", "e")
    first = await api.list(SERVICES, limit=2)
    await make(api, "c")
    await api.delete(SERVICES, "d")
    document = await api.get(SERVICES, "e")
    document["metadata"]["labels"] = {"changed": "yes"}
    await api.update(SERVICES, document)
    token = first["metadata"]["continue"]
    second = await api.list(SERVICES, limit=2, continue_token=token)
    assert names(second) == ["d", "e"]
    assert "labels" not in second["items"][1]["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@ensured
async def test_a_token_that_is_none_is_refused(api: Api) -> None:
    refused = await api.refusal(api.list(SERVICES, limit=2, continue_token="nonsense"))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_a_token_beside_a_version_is_refused(api: Api) -> None:
    await make(api, "a", "b", "c")
    token = (await api.list(SERVICES, limit=2))["metadata"]["continue"]
    refused = await api.refusal(
        api.list(SERVICES, limit=2, continue_token=token, resource_version="1")
    )
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_a_list_from_the_cache_comes_in_one_piece(api: Api) -> None:
    await make(api, "a", "b", "c")
    version = (await api.list(SERVICES))["metadata"]["resourceVersion"]
    # 1.20 lists its cache in the order of a hash table, later versions by the keys.
    listed = await api.list(SERVICES, resource_version=version)  # not older than this
    assert sorted(names(listed)) == ["a", "b", "c"]
    listed = await api.list(SERVICES, resource_version="0", limit=2)
    assert sorted(names(listed)) == ["a", "b", "c"]
    assert "continue" not in listed["metadata"]


@ensured
async def test_a_version_beside_a_limit_is_exact(api: Api) -> None:
    await make(api, "a", "b")
    version = (await api.list(SERVICES))["metadata"]["resourceVersion"]
    await make(api, "c")
    listed = await api.list(SERVICES, resource_version=version, limit=10)
    assert names(listed) == ["a", "b"]
    assert listed["metadata"]["resourceVersion"] == version


@ensured
async def test_a_version_that_is_no_number_is_refused(api: Api) -> None:
    refused = await api.refusal(api.list(SERVICES, resource_version="abc", limit=1))
    assert refused.code == 400


@ensured
async def test_discovery_names_the_resources(api: Api) -> None:
    document = orjson.loads(await api.client.request("GET", "/api/v1"))
    found = {entry["name"]: entry for entry in document["resources"]}
    for resource in (SERVICES, ENDPOINTS, NAMESPACES):
        entry = found[resource.plural]
        assert entry["kind"] == resource.kind
        assert entry["namespaced"] is resource.namespaced
        assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(
            entry["verbs"]
        )
        assert tuple(entry.get("shortNames", ())) == resource.short_names
