"""What is in a namespace, and whose it is: in doubt it is there, and somebody's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.annotations import REFLECTED
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import Resource
from servicereflector.mirror.copying import mirror_namespace
from servicereflector.mirror.emptiness import (
    FEW,
    TOKEN_TYPE,
    added_to,
    belongs_to_nobody,
    name_of,
    occupants,
)
from servicereflector.mirror.inventory import (
    NOTES,
    VIEWS,
    Page,
    Unclear,
    group_versions,
    listable,
    page_of,
    parsed,
)

texts = st.text("abz.-/_ é", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def metadata(name: str, fields: Json | None = None, **more: Any) -> Json:
    """As kube-apiserver 1.20 tells it of what kube-controller-manager made."""
    managed = {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1"}
    if fields is not None:
        more["managedFields"] = [{**managed, "fieldsType": "FieldsV1", "fieldsV1": fields}]
    common = {"name": name, "namespace": "shop", "uid": "u", "resourceVersion": "9"}
    return {**common, "creationTimestamp": "2026-01-01T00:00:00Z", **more}


def partial(**rest: Any) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", **rest}


ACCOUNT: Json = {
    "metadata": metadata("default"),
    "secrets": [{"name": "default-token-p95m5"}],
}
ROOT_CA: Json = partial(
    metadata=metadata(
        "kube-root-ca.crt",
        {"f:data": {".": {}, "f:ca.crt": {}}, "f:metadata": {"f:annotations": {".": {}}}},
        annotations={"kubernetes.io/description": "Contains a CA bundle"},
    )
)
TOKEN: Json = partial(
    type=TOKEN_TYPE,
    metadata=metadata(
        "default-token-p95m5",
        {
            "f:data": {".": {}, "f:ca.crt": {}, "f:namespace": {}, "f:token": {}},
            "f:metadata": {"f:annotations": {".": {}}},
            "f:type": {},
        },
        annotations={
            "kubernetes.io/service-account.name": "default",
            "kubernetes.io/service-account.uid": "u",
        },
        labels={"kubernetes.io/legacy-token-last-used": "2026-01-01"},
    ),
)

#: What Kubernetes puts into every namespace, by plural.
PUT = {"serviceaccounts": ACCOUNT, "configmaps": ROOT_CA, "secrets": TOKEN}
puts = st.sampled_from(sorted(PUT))


def changed(plural: str, change: Callable[[Json], object]) -> Json:
    item = copy.deepcopy(PUT[plural])
    change(item)
    return item


@pytest.mark.parametrize("plural", sorted(PUT))
def test_what_kubernetes_puts_into_every_namespace_is_nobodys(plural: str) -> None:
    """In the core group, that is."""
    assert belongs_to_nobody("", plural, PUT[plural])
    assert not belongs_to_nobody("example.com", plural, PUT[plural])


def test_an_account_without_a_token_is_nobodys() -> None:
    """Since 1.24."""
    assert belongs_to_nobody("", "serviceaccounts", {"metadata": metadata("default")})


@given(json_values)
def test_events_are_nobodys(item: Any) -> None:
    """In both of their groups, whatever they tell."""
    for group, plural in NOTES:
        assert belongs_to_nobody(group, plural, {"metadata": item})


@given(texts, texts, st.sampled_from(list(PUT.values())) | st.fixed_dictionaries({}))
def test_what_is_of_an_unknown_kind_is_somebodys(group: str, plural: str, item: Json) -> None:
    """Under whatever name it comes."""
    if (group, plural) not in {*NOTES, *(("", known) for known in PUT)}:
        assert not belongs_to_nobody(group, plural, item)


@given(puts, json_values)
def test_whatever_an_item_looks_like_there_is_an_answer(plural: str, value: Any) -> None:
    """And what was not made by Kubernetes is somebody's."""
    for item in ({"metadata": value}, {"metadata": {"name": "default", "labels": value}}):
        assert not belongs_to_nobody("", plural, {**item, "type": value, "secrets": [value]})
    assert not belongs_to_nobody("", plural, {})


@given(puts, texts)
def test_another_name_is_somebodys(plural: str, name: str) -> None:
    item = changed(plural, lambda item: item["metadata"].update(name=name))
    assert not belongs_to_nobody("", plural, item)


@given(puts, st.sampled_from(["labels", "annotations"]), texts, texts)
def test_a_key_that_a_person_adds_keeps_it(plural: str, member: str, key: str, text: str) -> None:
    """A label or an annotation, beside those that are there."""

    def add(item: Json) -> None:
        item["metadata"].setdefault(member, {})[key] = text

    assert not belongs_to_nobody("", plural, changed(plural, add))


@given(puts, st.sampled_from(["ownerReferences", "finalizers", "deletionTimestamp", "new"]))
def test_what_a_person_adds_to_the_metadata_keeps_it(plural: str, member: str) -> None:
    """What is not known to be the API server's own is a person's."""
    item = changed(plural, lambda item: item["metadata"].update({member: ["x"]}))
    assert not belongs_to_nobody("", plural, item)


@pytest.mark.parametrize(
    "added",
    [
        {"imagePullSecrets": [{"name": "registry"}]},
        {"automountServiceAccountToken": False},
        {"secrets": [{"name": "default-token-p95m5"}, {"name": "registry"}]},
        {"secrets": [{"name": "default-token-p95m5", "namespace": "other"}]},
        {"new": 1},
    ],
)
def test_what_a_person_adds_to_the_account_keeps_it(added: Json) -> None:
    assert not belongs_to_nobody("", "serviceaccounts", {**ACCOUNT, **added})


def test_an_account_of_which_only_the_metadata_is_known_is_somebodys() -> None:
    """It may have imagePullSecrets."""
    item = partial(metadata=metadata("default"))
    assert not belongs_to_nobody("", "serviceaccounts", item)


@given(
    st.sampled_from(["configmaps", "secrets"]),
    st.sampled_from(["f:data", "f:binaryData", "f:immutable", "f:spec"]),
    st.sampled_from(["", "f:password", "f:ca.crt.old"]),
)
def test_a_field_that_a_person_adds_keeps_it(plural: str, field: str, name: str) -> None:
    """The names of an object's fields are in its metadata, whoever has written them."""
    below = {name: {}} if name else {}

    def add(item: Json) -> None:
        item["metadata"]["managedFields"].append({"fieldsV1": {field: below}})

    assert not belongs_to_nobody("", plural, changed(plural, add))


@given(st.sampled_from(["configmaps", "secrets"]), json_values)
def test_without_the_names_of_its_fields_it_is_somebodys(plural: str, value: Any) -> None:
    """Nobody knows what it holds then."""
    for told in (value, [value], [{"fieldsV1": [value]}]):
        item = changed(plural, lambda item, told=told: item["metadata"].update(managedFields=told))
        assert not belongs_to_nobody("", plural, item)
    item = changed(plural, lambda item: item["metadata"].pop("managedFields"))
    assert not belongs_to_nobody("", plural, item)


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.pop("type"),
        lambda item: item.update(type="Opaque"),
        lambda item: item["metadata"].update(annotations={}),
        lambda item: item["metadata"].update(
            annotations={"kubernetes.io/service-account.name": "builder"}
        ),
        lambda item: item["metadata"].update(name="default-token"),
    ],
)
def test_another_secret_is_somebodys(change: Callable[[Json], object]) -> None:
    """That of another account or type, and a token that a person has asked for."""
    assert not belongs_to_nobody("", "secrets", changed("secrets", change))


def namespace(**more: Any) -> Json:
    document = mirror_namespace("shop")
    document["metadata"] |= {"uid": "u", "resourceVersion": "9", "managedFields": []}
    document["metadata"].update(more)
    return {**document, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def test_nobody_has_added_to_a_namespace_that_was_only_created() -> None:
    """With what the API server adds."""
    assert added_to(namespace()) == ""
    assert added_to(namespace(labels={"kubernetes.io/metadata.name": "shop"})) == ""
    assert added_to(mirror_namespace("shop")) == ""


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (namespace(labels={"team": "a"}), "the label team"),
        (namespace(annotations={REFLECTED: "true", "quota": "1"}), "the annotation quota"),
        (namespace(ownerReferences=[{}]), "metadata.ownerReferences"),
        (namespace(finalizers=["x/y"]), "metadata.finalizers"),
        ({**namespace(), "spec": {"finalizers": ["kubernetes", "x/y"]}}, "the finalizer x/y"),
    ],
)
def test_who_adds_to_a_namespace_means_to_use_it(document: Json, told: str) -> None:
    assert added_to(document) == told


def groups(*told: tuple[str, str, list[str]]) -> Json:
    """An APIGroupList out of names, preferred versions and versions."""

    def entry(group: str, version: str) -> Json:
        return {"groupVersion": f"{group}/{version}", "version": version}

    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": name,
                "versions": [entry(name, version) for version in versions],
                "preferredVersion": entry(name, preferred),
            }
            for name, preferred, versions in told
        ],
    }


def served(name: str, kind: str = "", *, namespaced: bool = True, verbs: str = "get list") -> Json:
    return {"name": name, "namespaced": namespaced, "kind": kind or name, "verbs": verbs.split()}


def resources(*entries: Json) -> Json:
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": list(entries)}


def test_the_preferred_version_is_asked_for_first() -> None:
    """The others too: a resource may be served in an older version alone."""
    document = groups(("apps", "v1", ["v1beta1", "v1", "v2"]), ("batch", "v1", ["v1"]))
    assert group_versions(document) == [
        ("", "v1"),
        ("apps", "v1"),
        ("apps", "v1beta1"),
        ("apps", "v2"),
        ("batch", "v1"),
    ]


def test_views_are_not_asked() -> None:
    """PodMetrics are computed; nobody puts one anywhere."""
    told = groups(*((name, "v1beta1", ["v1beta1"]) for name in sorted(VIEWS)))
    assert group_versions(told) == [("", "v1")]


def test_each_resource_of_namespaces_that_can_be_listed_is_told_once() -> None:
    """In the version that its group prefers, if it is served in that."""
    core = resources(
        served("pods", "Pod"),
        served("pods/log", "Pod"),
        served("events", "Event"),
        served("nodes", "Node", namespaced=False),
        served("bindings", "Binding", verbs="create"),
    )
    v1 = resources(served("jobs", "Job"), served("events", "Event"))
    v1beta1 = resources(served("jobs", "Job"), served("cronjobs", "CronJob"))
    found = listable([("", "v1", core), ("batch", "v1", v1), ("batch", "v1beta1", v1beta1)])
    assert [(r.api_version, r.plural, r.kind) for r in found] == [
        ("v1", "pods", "Pod"),
        ("batch/v1", "jobs", "Job"),
        ("batch/v1", "events", "Event"),  # not Kubernetes' own
        ("batch/v1beta1", "cronjobs", "CronJob"),
    ]
    assert found[3].path("shop") == "/apis/batch/v1beta1/namespaces/shop/cronjobs"


@pytest.mark.parametrize("verbs", ["create delete", "get deletecollection"])
def test_what_can_be_deleted_but_not_listed_is_not_known(verbs: str) -> None:
    """The deletion of the namespace would reach it; unless another version lists it."""
    hidden = ("example.com", "v2", resources(served("ghosts", verbs=verbs)))
    with pytest.raises(Unclear, match=r"ghosts of example\.com can be deleted, but not listed"):
        listable([hidden])
    assert len(listable([hidden, ("example.com", "v1", resources(served("ghosts")))])) == 1


@pytest.mark.parametrize("name", ["", "..", "a?b", "a b", "../secrets", "a%2f", 1, None])
def test_a_name_that_means_something_in_a_path_is_not_known(name: Any) -> None:
    """An aggregated API may tell anything."""
    with pytest.raises(Unclear):
        group_versions(groups((name, "v1", ["v1"])))
    with pytest.raises(Unclear):
        group_versions(groups(("apps", "v1", [name])))
    if "/" not in str(name):
        with pytest.raises(Unclear):
            listable([("", "v1", resources(served("x") | {"name": name}))])


def test_a_group_without_versions_is_not_known() -> None:
    with pytest.raises(Unclear, match="apps has no versions"):
        group_versions(groups(("apps", "v1", [])))


@given(json_values)
def test_no_discovery_document_is_guessed_at(value: Any) -> None:
    """Whatever it is, it is understood as a whole or not at all."""
    for document in (value, {"kind": "APIGroupList", "groups": [value]}):
        with pytest.raises(Unclear):
            group_versions(document)
    for document in (
        value,
        {"kind": "APIResourceList", "resources": [value]},
        resources(served("pods") | {"namespaced": str(value)}),
        {"kind": "APIResourceList"},
    ):
        with pytest.raises(Unclear):
            listable([("", "v1", document)])


def test_an_empty_list_may_be_null() -> None:
    """kube-apiserver 1.20 tells so of a PartialObjectMetadataList, and Go of any."""
    assert listable([("", "v1", {"kind": "APIResourceList", "resources": None})]) == ()
    assert page_of(b'{"kind":"PartialObjectMetadataList","metadata":{},"items":null}') == Page(())


def test_a_page_tells_its_items_and_where_the_next_begins() -> None:
    items = [{"metadata": {"name": "a"}}]
    told = {"kind": "SecretList", "metadata": {"continue": "x"}, "items": items}
    assert page_of(orjson.dumps(told)) == Page(tuple(items), "x")


@given(json_values)
def test_no_list_is_guessed_at(value: Any) -> None:
    """In doubt there is something."""
    for document in (
        value,
        {"kind": "Status", "items": [], "metadata": {"x": value}},
        {"kind": "PodList", "metadata": {"x": value}},
        {"kind": "PodList", "items": [value]},
        {"kind": "PodList", "items": [{"metadata": None, "x": value}]},
        {"kind": "PodList", "items": [], "metadata": {"continue": [value]}},
        {"kind": "PodList", "items": [], "metadata": [1, value]},
        {"kind": "PodList", "items": {"x": value}},
    ):
        with pytest.raises(Unclear):
            page_of(orjson.dumps(document))


@given(st.binary(max_size=20))
def test_what_is_no_json_is_not_repeated(body: bytes) -> None:
    """It may be a part of a Secret."""
    with pytest.raises(Unclear, match=r"^the answer is no JSON$"):
        parsed(b"<" + body)


@pytest.mark.parametrize(
    ("count", "more", "told"),
    [
        (1, False, "ConfigMap 0"),
        (2, False, "ConfigMap 0 and ConfigMap 1"),
        (3, False, "ConfigMap 0, ConfigMap 1 and ConfigMap 2"),
        (5, False, "ConfigMap 0, ConfigMap 1, ConfigMap 2 and 2 more"),
        (1, True, "ConfigMap 0 and more"),
        (5, True, "ConfigMap 0, ConfigMap 1, ConfigMap 2 and more"),
    ],
)
def test_people_are_told_the_first_few(count: int, more: bool, told: str) -> None:
    assert FEW == 3
    assert occupants([f"ConfigMap {n}" for n in range(count)], more=more) == told


def test_what_two_groups_serve_is_told_once() -> None:
    """Until 1.21 Ingresses were in extensions, too."""
    assert occupants(["Ingress web", "Ingress web", "Pod x"]) == "Ingress web and Pod x"


def test_an_object_is_told_by_kind_and_name() -> None:
    """A list's items tell no kind, and PartialObjectMetadata that it is one."""
    pods = Resource("", "v1", "pods", "pods", "Pod")
    assert name_of(pods, partial(metadata=metadata("web-0"))) == "Pod web-0"
    assert name_of(pods, {"metadata": {}}) == "Pod without a name"
