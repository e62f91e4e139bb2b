"""What an object of a source has to be like; and the text of one that is not, as it is shown."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.lists import decode_list
from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.strangers import Rejected, checked_record, deleted_record
from servicereflector.kube.text import MOST_SHOWN, shown
from servicereflector.testing.strategies import endpoint_slices, endpoints, services

METADATA = {"name": "cart", "namespace": "shop", "uid": "u", "resourceVersion": "7"}
SERVICE = {"metadata": METADATA, "spec": {"ports": [{"port": 80, "targetPort": "http"}]}}
SUBSET = {"addresses": [{"ip": "10.1.0.7"}], "ports": [{"name": "a", "port": 80}]}
POINTS = {"metadata": METADATA, "subsets": [SUBSET]}
SLICE = {
    "metadata": {**METADATA, "labels": {"kubernetes.io/service-name": "cart"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.0.7"], "conditions": {"ready": True}}],
    "ports": [{"name": "a", "port": 80}],
}
GOOD = {SERVICES: SERVICE, ENDPOINTS: POINTS, ENDPOINTSLICES: SLICE}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "subsets", "addresses", "ip", "ports", "port", "name"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def changed(document: Json, path: str, value: Any) -> Json:
    document = copy.deepcopy(document)
    *above, last = [int(step) if step.isdecimal() else step for step in path.split("/")]
    inner: Any = document
    for step in above:
        inner = inner[step]
    inner[last] = value
    return document


BAD: list[tuple[Resource, str, Any, str]] = [
    (SERVICES, "kind", "Secret", "type"),
    (SERVICES, "kind", ["Service"], "type"),
    (SERVICES, "apiVersion", "v2", "type"),
    (ENDPOINTSLICES, "apiVersion", "discovery.k8s.io/v1beta1", "type"),
    (SERVICES, "metadata", None, "malformed"),
    (SERVICES, "metadata", "cart", "malformed"),
    (SERVICES, "metadata/name", "a.b", "name"),
    (SERVICES, "metadata/name", "Cart", "name"),
    (SERVICES, "metadata/name", "cart\n", "name"),
    (SERVICES, "metadata/name", "a" * 64, "name"),
    (SERVICES, "metadata/name", 5, "name"),
    (ENDPOINTS, "metadata/name", "a..b", "name"),
    (ENDPOINTS, "metadata/name", "a" * 254, "name"),
    (SERVICES, "metadata/namespace", "", "namespace"),
    (SERVICES, "metadata/namespace", "kube-system", "namespace"),
    (SERVICES, "metadata/namespace", "../x", "namespace"),
    (SERVICES, "metadata/uid", "\x1b[2J", "uid"),
    (SERVICES, "metadata/uid", "u" * 129, "uid"),
    (SERVICES, "metadata/resourceVersion", "x", "malformed"),
    (SERVICES, "metadata/labels", {"a b": ""}, "labels"),
    (SERVICES, "metadata/labels", {"a" * 400: ""}, "labels"),
    (SERVICES, "metadata/labels", {"a": "b\n"}, "labels"),
    (SERVICES, "metadata/labels", {"a": "b" * 64}, "labels"),
    (SERVICES, "metadata/labels", ["a"], "malformed"),
    (SERVICES, "metadata/annotations", {"a": "ha" * 2**17 + "!"}, "annotations"),
    (SERVICES, "metadata/annotations", {"\x07": ""}, "annotations"),
    (SERVICES, "metadata/annotations", {"a": {"b": "c"}}, "malformed"),
    (SERVICES, "metadata/finalizers", "x" * 1536 * 1024, "size"),
    (SERVICES, "spec", [], "malformed"),
    (SERVICES, "spec/ports", {"port": 80}, "malformed"),
    (SERVICES, "spec/ports/0/port", "80", "ports"),
    (SERVICES, "spec/ports/0/port", True, "ports"),
    (SERVICES, "spec/ports/0/port", None, "ports"),
    (SERVICES, "spec/ports/0/port", 65536, "ports"),
    (SERVICES, "spec/ports/0/port", 0, "ports"),
    (SERVICES, "spec/ports/0/targetPort", -1, "ports"),
    (SERVICES, "spec/ports/0/targetPort", "a\x1b", "text"),
    (SERVICES, "spec/ports/0/name", "a\n", "ports"),
    (SERVICES, "spec/ports/0/protocol", 6, "malformed"),
    (SERVICES, "spec/ports", [{"port": 80}] * 1001, "ports"),
    (SERVICES, "spec/externalName", "a\r\nb", "text"),
    (SERVICES, "spec/clusterIP", ["None"], "malformed"),
    (SERVICES, "spec/ipFamilies", 4, "malformed"),
    (SERVICES, "spec/ipFamilies", ["IPv4"] * 3, "malformed"),
    (SERVICES, "spec/clusterIPs", [{}], "malformed"),
    (SERVICES, "spec/trafficDistribution", ["PreferClose"], "malformed"),
    (SERVICES, "spec/sessionAffinityConfig", "x", "malformed"),
    (ENDPOINTSLICES, "endpoints/0/addresses", [None], "addresses"),
    (ENDPOINTS, "subsets", {"addresses": []}, "malformed"),
    (ENDPOINTS, "subsets/0", "x", "malformed"),
    (ENDPOINTS, "subsets/0/addresses", "10.1.0.7", "malformed"),
    (ENDPOINTS, "subsets/0/addresses/0/ip", "10.1.0.256", "addresses"),
    (ENDPOINTS, "subsets/0/addresses/0/ip", "010.1.0.7", "addresses"),
    (ENDPOINTS, "subsets/0/addresses/0/ip", "fe80::1%eth0", "addresses"),
    (ENDPOINTS, "subsets/0/addresses/0/ip", 10, "addresses"),
    (ENDPOINTS, "subsets/0/notReadyAddresses", [{"ip": "a"}], "addresses"),
    (ENDPOINTS, "subsets/0/addresses/0/hostname", "a\n", "text"),
    (ENDPOINTS, "subsets/0/ports/0/port", "80", "ports"),
    (ENDPOINTS, "subsets/0/ports/0/port", 1 << 40, "ports"),
    (
        ENDPOINTS,
        "subsets/0",
        {"addresses": [{"ip": "10.1.0.7"}] * 2000, "ports": [{"port": 80}] * 100},
        "size",
    ),
    (ENDPOINTSLICES, "addressType", 4, "malformed"),
    (ENDPOINTSLICES, "endpoints", {}, "malformed"),
    (ENDPOINTSLICES, "endpoints/0/addresses", "10.1.0.7", "malformed"),
    (ENDPOINTSLICES, "endpoints/0/addresses/0", "fd00::1", "addresses"),
    (ENDPOINTSLICES, "endpoints/0/addresses/0", "x", "addresses"),
    (ENDPOINTSLICES, "endpoints/0/addresses", ["10.1.0.7"] * 101, "addresses"),
    (ENDPOINTSLICES, "endpoints/0/conditions", "ready", "malformed"),
    (ENDPOINTSLICES, "endpoints/0/zone", "\x00", "text"),
    (ENDPOINTSLICES, "endpoints", [{"addresses": ["10.1.0.7"]}] * 1001, "addresses"),
    (ENDPOINTSLICES, "ports/0/port", 70000, "ports"),
]


@pytest.mark.parametrize(
    ("resource", "path", "value", "reason"), BAD, ids=[f"{p} {str(v)[:20]!a}" for _, p, v, _ in BAD]
)
def test_a_bad_object_is_rejected_and_its_neighbours_are_not(
    resource: Resource, path: str, value: Any, reason: str
) -> None:
    bad = changed(GOOD[resource], path, value)
    other = changed(GOOD[resource], "metadata/name", "other")
    body = {"kind": resource.list_kind, "items": [bad, other], "metadata": {}}

    def read(resource: Resource, document: object) -> Any:
        return checked_record(resource, document, "shop")

    page = decode_list(resource, orjson.dumps(body), read)
    assert [record.key for record in page.records] == ["shop/other"]
    (error,) = page.bad
    assert isinstance(error, Rejected)
    assert error.reason == reason
    known = not path.startswith(("metadata/name", "metadata/namespace")) and path != "metadata"
    assert (error.key, error.service) == (("shop/cart", "shop/cart") if known else ("", ""))
    assert len(str(error)) < 400
    assert str(error).isprintable()


@pytest.mark.parametrize("resource", GOOD)
def test_a_good_object_is_the_record_that_it_always_was(resource: Resource) -> None:
    good = GOOD[resource]
    assert checked_record(resource, copy.deepcopy(good), "shop") == record_of(resource, good)


@given(services())
def test_what_kubernetes_takes_is_taken(document: Json) -> None:
    assert checked_record(SERVICES, copy.deepcopy(document)) == record_of(SERVICES, document)


@given(endpoints(), endpoint_slices("shop/cart"))
def test_and_of_endpoints_and_slices(document: Json, slices: list[Json]) -> None:
    assert checked_record(ENDPOINTS, document).key
    for one in slices:
        assert checked_record(ENDPOINTSLICES, one).key


@given(st.sampled_from(list(GOOD)), JSON, st.sampled_from([path for _, path, _, _ in BAD]))
def test_nothing_but_rejected_is_raised(resource: Resource, value: Any, path: str) -> None:
    documents = [value]
    with suppress(KeyError, TypeError, IndexError):
        documents.append(changed(GOOD[resource], path, value))
    for document in documents:
        for read in (checked_record, deleted_record):
            with suppress(Rejected):
                read(resource, copy.deepcopy(document))


def test_who_set_which_field_is_not_kept() -> None:
    """Whatever it is: nobody reads it."""
    for told in ([{"manager": "kubectl"}], "x", None):
        document = {"metadata": {"name": "x", "namespace": "a", "managedFields": told}}
        assert "managedFields" not in checked_record(SERVICES, document).document()["metadata"]


def test_a_deletion_needs_a_name_only() -> None:
    gone = {**SERVICE, "kind": "Secret", "spec": 5, "metadata": {**METADATA, "labels": 5, "uid": 5}}
    record = deleted_record(SERVICES, gone, "shop")
    assert (record.key, record.version) == ("shop/cart", 7)
    with pytest.raises(Rejected):
        deleted_record(SERVICES, {"metadata": {"name": "cart"}})


@given(st.text(), st.integers(3, 400))
def test_what_is_shown_is_one_short_printable_line(text: str, most: int) -> None:
    assert shown(text, most).isprintable()
    assert len(shown(text, most)) <= most
    if text.isprintable() and len(text) <= most:
        assert shown(text, most) == text


def test_what_is_not_printable_is_escaped() -> None:
    assert shown("a\n\x1b[2J\u202e") == r"a\n\x1b[2J\u202e"
    assert shown("a" * 1000).endswith("...")
    assert len(shown("\n" * 1000)) == MOST_SHOWN
