"""What holds for the objects of every resource: create, get, update, delete, and their refusals."""

from __future__ import annotations

import pytest

from servicereflector.kube.resources import ENDPOINTS, EVENTS, NAMESPACES, SERVICES, Resource

from .api import Api, ensured, fields

each_resource = pytest.mark.parametrize(
    "resource", [NAMESPACES, SERVICES, ENDPOINTS, EVENTS], ids=lambda r: r.plural
)
each_mirrored = pytest.mark.parametrize("resource", [SERVICES, ENDPOINTS], ids=lambda r: r.plural)
#: The minor version since which Services go through the same registry code as all the others.
#: Measured are 1.20 and the embedded cluster, which claims a newer one; the boundary itself is
#: taken from the history of pkg/registry/core/service.
ORDINARY_SERVICES = 23


@each_resource
@ensured
async def test_a_created_object_has_what_the_server_sets(api: Api, resource: Resource) -> None:
    created = await api.create(resource, api.sample(resource, "a"))
    metadata = created["metadata"]
    assert (created["kind"], created["apiVersion"]) == (resource.kind, "v1")
    assert metadata["uid"]
    assert metadata["creationTimestamp"]
    assert int(metadata["resourceVersion"]) > 0


@each_resource
@ensured
async def test_what_was_created_can_be_read(api: Api, resource: Resource) -> None:
    created = await api.create(resource, api.sample(resource, "a"))
    assert await api.get(resource, created["metadata"]["name"]) == created


@each_resource
@ensured
async def test_an_update_is_answered_with_a_newer_version(api: Api, resource: Resource) -> None:
    document = await api.create(resource, api.sample(resource, "a"))
    document["metadata"]["labels"] = {"changed": "yes"}
    before = int(document["metadata"]["resourceVersion"])
    updated = await api.update(resource, document)
    assert updated["metadata"]["labels"]["changed"] == "yes"
    assert int(updated["metadata"]["resourceVersion"]) > before
    assert updated["metadata"]["uid"] == document["metadata"]["uid"]
    assert await api.get(resource, document["metadata"]["name"]) == updated


@each_resource
@ensured
async def test_a_client_cannot_choose_uid_or_creation_time(api: Api, resource: Resource) -> None:
    document = api.sample(resource, "a")
    document["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}
    created = await api.create(resource, document)
    assert created["metadata"]["uid"] != "mine"
    assert not created["metadata"]["creationTimestamp"].startswith("2001")


@pytest.mark.parametrize("resource", [SERVICES, ENDPOINTS, EVENTS], ids=lambda r: r.plural)
@ensured
async def test_a_deleted_object_is_gone(api: Api, resource: Resource) -> None:
    await api.create(resource, api.sample(resource, "a"))
    await api.delete(resource, "a")
    refused = await api.refusal(api.get(resource, "a"))
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.message == f'{resource.plural} "a" not found'
    assert refused.details == {"name": "a", "kind": resource.plural}


@each_mirrored
@ensured
async def test_a_deletion_is_answered_with_success(api: Api, resource: Resource) -> None:
    created = await api.create(resource, api.sample(resource, "a"))
    answer = await api.send("DELETE", resource.path(api.namespace, "a"), b"")
    assert answer["kind"] == "Status"
    assert answer["status"] == "Success"
    assert answer["details"] == {
        "name": "a",
        "kind": resource.plural,
        "uid": created["metadata"]["uid"],
    }


@each_resource
@ensured
async def test_a_name_is_given_once(api: Api, resource: Resource) -> None:
    document = api.sample(resource, "a")
    name = document["metadata"]["name"]
    await api.create(resource, document)
    refused = await api.refusal(api.create(resource, document))
    assert (refused.code, refused.reason) == (409, "AlreadyExists")
    assert refused.message == f'{resource.plural} "{name}" already exists'
    assert refused.details == {"name": name, "kind": resource.plural}


@each_mirrored
@ensured
async def test_nothing_is_created_in_a_namespace_that_is_not_there(
    api: Api, resource: Resource
) -> None:
    api.namespace = "nowhere"
    refused = await api.refusal(api.create(resource, api.sample(resource, "a")))
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.message == 'namespaces "nowhere" not found'
    assert refused.details == {"name": "nowhere", "kind": "namespaces"}


@ensured
async def test_an_object_is_not_found_in_a_namespace_that_is_not_there(api: Api) -> None:
    api.namespace = "nowhere"
    refused = await api.refusal(api.get(SERVICES, "a"))
    assert refused.message == 'services "a" not found'


@each_mirrored
@ensured
async def test_deleting_what_is_not_there_is_refused(api: Api, resource: Resource) -> None:
    refused = await api.refusal(api.delete(resource, "a"))
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.details == {"name": "a", "kind": resource.plural}


@ensured
async def test_a_service_that_is_not_there_is_not_created_by_an_update(api: Api) -> None:
    refused = await api.refusal(api.update(SERVICES, api.service("a")))
    assert (refused.code, refused.reason) == (404, "NotFound")


@ensured
async def test_endpoints_that_are_not_there_are_created_by_an_update(api: Api) -> None:
    updated = await api.update(ENDPOINTS, api.endpoints("a"))
    assert updated == await api.get(ENDPOINTS, "a")


@each_mirrored
@ensured
async def test_an_update_of_an_older_version_is_a_conflict(api: Api, resource: Resource) -> None:
    document = await api.create(resource, api.sample(resource, "a"))
    document["metadata"]["labels"] = {"changed": "once"}
    await api.update(resource, document)
    document["metadata"]["labels"] = {"changed": "twice"}
    refused = await api.refusal(api.update(resource, document))
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.message == (
        f'Operation cannot be fulfilled on {resource.plural} "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert refused.details == {"name": "a", "kind": resource.plural}


@ensured
async def test_an_update_of_endpoints_without_a_version_is_unconditional(api: Api) -> None:
    document = await api.create(ENDPOINTS, api.endpoints("a"))
    del document["metadata"]["resourceVersion"]
    document["metadata"]["labels"] = {"changed": "yes"}
    updated = await api.update(ENDPOINTS, document)
    assert updated["metadata"]["labels"] == {"changed": "yes"}


@ensured
async def test_an_update_of_a_service_without_a_version(api: Api) -> None:
    document = await api.create(SERVICES, api.service("a"))
    version = document["metadata"].pop("resourceVersion")
    document["metadata"]["labels"] = {"changed": "yes"}
    if api.minor >= ORDINARY_SERVICES:
        assert int((await api.update(SERVICES, document))["metadata"]["resourceVersion"]) > int(
            version
        )
        return
    refused = await api.refusal(api.update(SERVICES, document))
    assert (refused.code, refused.reason) == (422, "Invalid")


@each_mirrored
@ensured
async def test_an_update_of_another_uid_is_a_conflict(api: Api, resource: Resource) -> None:
    document = await api.create(resource, api.sample(resource, "a"))
    document["metadata"]["uid"] = "another"
    refused = await api.refusal(api.update(resource, document))
    if resource is SERVICES and api.minor < ORDINARY_SERVICES:
        assert (refused.code, refused.reason) == (422, "Invalid")
    else:
        assert (refused.code, refused.reason) == (409, "Conflict")


@each_mirrored
@ensured
async def test_an_update_of_a_deleted_object_is_refused(api: Api, resource: Resource) -> None:
    document = await api.create(resource, api.sample(resource, "a"))
    await api.delete(resource, "a")
    refused = await api.refusal(api.update(resource, document))
    if resource is SERVICES and api.minor < ORDINARY_SERVICES:
        assert (refused.code, refused.reason) == (404, "NotFound")
    else:
        assert (refused.code, refused.reason) == (409, "Conflict")
    assert (await api.list(resource))["items"] == []


@each_mirrored
@ensured
async def test_an_update_that_changes_nothing_keeps_the_version(
    api: Api, resource: Resource
) -> None:
    document = await api.create(resource, api.sample(resource, "a"))
    assert await api.update(resource, document) == document


@ensured
async def test_versions_increase_across_resources(api: Api) -> None:
    versions = []
    for resource in (SERVICES, ENDPOINTS, EVENTS, NAMESPACES):
        created = await api.create(resource, api.sample(resource, "b"))
        versions.append(int(created["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))


@each_mirrored
@pytest.mark.parametrize("member", ["uid", "resource_version"])
@ensured
async def test_a_deletion_of_something_else_is_a_conflict(
    api: Api, resource: Resource, member: str
) -> None:
    await api.create(resource, api.sample(resource, "a"))
    refused = await api.refusal(api.delete(resource, "a", **{member: "1"}))
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.details == {"name": "a", "kind": resource.kind}
    assert await api.get(resource, "a")


@each_mirrored
@ensured
async def test_a_deletion_whose_preconditions_hold_is_done(api: Api, resource: Resource) -> None:
    metadata = (await api.create(resource, api.sample(resource, "a")))["metadata"]
    await api.delete(
        resource, "a", uid=metadata["uid"], resource_version=metadata["resourceVersion"]
    )
    assert (await api.list(resource))["items"] == []


@ensured
async def test_a_new_object_has_no_version(api: Api) -> None:
    document = api.service("a")
    document["metadata"]["resourceVersion"] = "7"
    refused = await api.refusal(api.create(SERVICES, document))
    assert (refused.code, refused.reason) == (500, "")
    assert refused.message == "resourceVersion should not be set on objects to be created"


@ensured
async def test_the_body_names_the_object_of_the_path(api: Api) -> None:
    await api.create(SERVICES, api.service("a"))
    document = api.service("b")
    refused = await api.refusal(api.send("PUT", SERVICES.path(api.namespace, "a"), document))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_the_body_names_the_namespace_of_the_path(api: Api) -> None:
    refused = await api.refusal(api.send("POST", SERVICES.path("default"), api.service("a")))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_the_namespace_may_be_left_to_the_path(api: Api) -> None:
    document = api.service("a")
    del document["metadata"]["namespace"]
    created = await api.send("POST", SERVICES.path(api.namespace), document)
    assert created["metadata"]["namespace"] == api.namespace


@ensured
async def test_a_body_of_another_kind_is_refused(api: Api) -> None:
    document = {"kind": "Endpoints", "apiVersion": "v1", **api.service("a")}
    refused = await api.refusal(api.create(SERVICES, document))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    refused = await api.refusal(api.send("POST", SERVICES.path(api.namespace), b"{no"))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@ensured
async def test_a_body_in_an_unknown_format_is_refused(api: Api) -> None:
    request = api.send("POST", SERVICES.path(api.namespace), b"x", "text/plain")
    refused = await api.refusal(request)
    assert (refused.code, refused.reason) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (SERVICES, "Upper"),
        (SERVICES, "under_score"),
        (SERVICES, "dotted.name"),
        (SERVICES, "a" * 64),
        (ENDPOINTS, "Upper"),
        (NAMESPACES, "dotted.name"),
        (NAMESPACES, "-a"),
    ],
    ids=lambda p: getattr(p, "plural", p)[:12],
)
@ensured
async def test_an_invalid_name_is_refused(api: Api, resource: Resource, name: str) -> None:
    document = api.sample(resource, "a")
    document["metadata"]["name"] = name
    refused = await api.refusal(api.create(resource, document))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.details is not None
    assert refused.details["name"] == name
    assert refused.details["kind"] == resource.kind
    assert fields(refused) == {"metadata.name"}
    assert set(refused.causes) == {"FieldValueInvalid"}


@ensured
async def test_an_object_without_a_name_is_refused(api: Api) -> None:
    document = api.service("a")
    del document["metadata"]["name"]
    refused = await api.refusal(api.create(SERVICES, document))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert "FieldValueRequired" in refused.causes


@ensured
async def test_a_name_can_be_generated(api: Api) -> None:
    names = set()
    for _ in range(2):
        document = api.service("a")
        del document["metadata"]["name"]
        document["metadata"]["generateName"] = "made-"
        created = await api.create(SERVICES, document)
        assert created["metadata"]["generateName"] == "made-"
        names.add(created["metadata"]["name"])
    assert len(names) == 2
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


@ensured
async def test_empty_labels_and_annotations_are_as_good_as_none(api: Api) -> None:
    document = api.service("a")
    document["metadata"] |= {"labels": {}, "annotations": None}
    created = await api.create(SERVICES, document)
    assert not created["metadata"].get("labels")
    assert not created["metadata"].get("annotations")


@ensured
async def test_a_label_that_is_no_string_is_refused(api: Api) -> None:
    document = api.service("a")
    document["metadata"]["labels"] = {"a": 1}
    refused = await api.refusal(api.create(SERVICES, document))
    assert (refused.code, refused.reason) == (400, "BadRequest")


@pytest.mark.parametrize(("key", "value"), [("a b", "x"), ("a", "x y"), ("a/b/c", "x")])
@ensured
async def test_a_malformed_label_is_refused(api: Api, key: str, value: str) -> None:
    document = api.service("a")
    document["metadata"]["labels"] = {key: value}
    refused = await api.refusal(api.create(SERVICES, document))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert fields(refused) == {"metadata.labels"}


@ensured
async def test_a_merge_patch_changes_what_it_names(api: Api) -> None:
    document = api.service("a")
    document["metadata"]["labels"] = {"kept": "x", "dropped": "y"}
    await api.create(SERVICES, document)
    patch = {"metadata": {"labels": {"dropped": None, "new": "z"}}}
    patched = await api.send(
        "PATCH", SERVICES.path(api.namespace, "a"), patch, "application/merge-patch+json"
    )
    assert patched["metadata"]["labels"] == {"kept": "x", "new": "z"}


@ensured
async def test_a_strategic_patch_merges_ports_by_their_number(api: Api) -> None:
    await api.create(SERVICES, api.service("a"))
    patch = {"spec": {"ports": [{"port": 443, "name": "https"}]}}
    patched = await api.send(
        "PATCH", SERVICES.path(api.namespace, "a"), patch, "application/strategic-merge-patch+json"
    )
    assert {port["name"] for port in patched["spec"]["ports"]} == {"http", "https"}


@ensured
async def test_a_merge_patch_replaces_ports(api: Api) -> None:
    await api.create(SERVICES, api.service("a"))
    patch = {"spec": {"ports": [{"port": 443, "name": "https"}]}}
    patched = await api.send(
        "PATCH", SERVICES.path(api.namespace, "a"), patch, "application/merge-patch+json"
    )
    assert [port["name"] for port in patched["spec"]["ports"]] == ["https"]


@ensured
async def test_an_unknown_resource_is_not_found(api: Api) -> None:
    path = f"/api/v1/namespaces/{api.namespace}/gadgets"
    refused = await api.refusal(api.client.request("GET", path))
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.message == "the server could not find the requested resource"
    assert refused.details == {}


@ensured
async def test_a_namespace_is_active_and_keeps_its_finalizer(api: Api) -> None:
    namespace = await api.get(NAMESPACES, api.namespace)
    assert namespace["status"] == {"phase": "Active"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    if api.minor >= 21:  # NamespaceDefaultLabelName
        assert namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] == api.namespace
