"""Records and lists: what is kept of an object, and what is refused."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.lists import decode_list, encode_list
from servicereflector.kube.objects import (
    BadObject,
    Record,
    full_body,
    key_of,
    parse_version,
    record_of,
    split_key,
)
from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES
from servicereflector.kube.status import from_status
from servicereflector.kube.subsets import flatten, pack
from servicereflector.testing import strategies as kube

GOOD: dict[str, Any] = {"name": "x", "namespace": "a", "uid": "u", "resourceVersion": "7"}

#: Deeper than Python prints, not deeper than orjson reads.
DEPTH = 1010


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    return orjson.loads(b"[" * depth + b"]" * depth)


def record_with(**metadata: Any) -> Record:
    return record_of(SERVICES, {"metadata": {**GOOD, **metadata}, "spec": {}})


def test_a_record_tells_what_selection_needs() -> None:
    """Namespace, name, uid, version and labels."""
    record = record_with(labels={"app": "a"})
    assert (record.key, record.uid, record.version) == ("a/x", "u", 7)
    assert record.labels == {"app": "a"}


@given(kube.services())
def test_a_record_keeps_the_object_without_its_kind(document: dict[str, Any]) -> None:
    """A list holds its items so."""
    typed = {"kind": "Service", "apiVersion": "v1", **document}
    assert record_of(SERVICES, typed).document() == document


@given(kube.services())
def test_the_full_body_has_kind_and_version_first(document: dict[str, Any]) -> None:
    """GET answers it so."""
    full = orjson.loads(full_body(SERVICES, record_of(SERVICES, dict(document))))
    assert list(full)[:2] == ["kind", "apiVersion"]
    assert full == {"kind": "Service", "apiVersion": "v1", **document}


def test_a_record_at_another_version_differs_in_nothing_else() -> None:
    """So an object leaves a view under the version of the change."""
    record = record_with(labels={"app": "a"})
    later = record.at_version(9)
    assert later.version == 9
    assert later.document()["metadata"] == {**record.document()["metadata"], "resourceVersion": "9"}
    assert later.at_version(7) == record


@pytest.mark.parametrize(
    ("annotations", "labels", "source", "reflected"),
    [
        ({REFLECTED: "true", SOURCE: "east"}, {}, "east", True),
        ({REFLECTED: "true"}, {}, "", True),
        ({}, {REFLECTED: "true"}, None, True),
        ({SOURCE: "east"}, {}, None, False),
        ({REFLECTED: "false", SOURCE: "east"}, {}, None, False),
    ],
)
def test_a_mirror_is_known_by_its_marks(
    annotations: dict[str, str], labels: dict[str, str], source: str | None, reflected: bool
) -> None:
    """Only the annotation makes it ours; the label alone keeps it from being mirrored."""
    record = record_with(annotations=annotations, labels=labels)
    assert (record.source, record.reflected) == (source, reflected)


BAD: dict[str, Any] = {
    "no object": 5,
    "a list": [],
    "no metadata": {},
    "metadata of another type": {"metadata": []},
    "another kind": {"kind": "Pod", "metadata": GOOD},
    "a kind that is no string": {"kind": {"a": 1}, "metadata": GOOD},
    "a kind nested deeply": {"kind": nested(DEPTH), "metadata": GOOD},
    "no name": {"metadata": {**GOOD, "name": ""}},
    "a name that is no string": {"metadata": {**GOOD, "name": 5}},
    "a name with a slash": {"metadata": {**GOOD, "name": "x/y"}},
    "a namespace with a slash": {"metadata": {**GOOD, "namespace": "a/b"}},
    "no namespace": {"metadata": {"name": "x"}},
    "labels that are a list": {"metadata": {**GOOD, "labels": ["a"]}},
    "labels that are no strings": {"metadata": {**GOOD, "labels": {"a": 1}}},
    "annotations that are no strings": {"metadata": {**GOOD, "annotations": {"a": None}}},
    "a uid that is no string": {"metadata": {**GOOD, "uid": 5}},
    "a version that is no string": {"metadata": {**GOOD, "resourceVersion": 7}},
    "a version nested deeply": {"metadata": {**GOOD, "resourceVersion": nested(DEPTH)}},
    "a version with a sign": {"metadata": {**GOOD, "resourceVersion": "+7"}},
    "a version of other digits": {"metadata": {**GOOD, "resourceVersion": "\u0667"}},
    "a version of 21 digits": {"metadata": {**GOOD, "resourceVersion": "1" * 21}},
    "a spec nested deeply": {"metadata": GOOD, "spec": nested(DEPTH)},
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_object_is_refused(what: str) -> None:
    """With BadObject, whatever is bad about it."""
    with pytest.raises(BadObject):
        record_of(SERVICES, dict(BAD[what]) if isinstance(BAD[what], dict) else BAD[what])


def test_of_a_mirror_who_set_which_field_is_not_kept() -> None:
    """Of what is emitted it is: an API server tells it, too."""
    fields = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    own = record_with(annotations={"a": "b"}, managedFields=fields)
    mirror = record_with(annotations={REFLECTED: "true"}, managedFields=fields)
    assert own.document()["metadata"]["managedFields"] == fields
    assert "managedFields" not in mirror.document()["metadata"]


def test_a_cluster_scoped_object_must_not_have_a_namespace() -> None:
    """And needs none."""
    assert record_of(NAMESPACES, {"metadata": {"name": "a"}}).key == "a"
    with pytest.raises(BadObject, match="has namespace"):
        record_of(NAMESPACES, {"metadata": dict(GOOD)})


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A Service or Endpoints in which one member is anything at all."""
    document: Any = draw(kube.services() | kube.endpoints())
    inner = document
    while isinstance(inner, dict) and inner:
        name = draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[name], dict) or not inner[name] or draw(st.booleans()):
            inner[name] = draw(kube.json_values)
            break
        inner = inner[name]
    return document


@given(kube.json_values | damaged())
def test_nothing_but_bad_object_is_raised(document: Any) -> None:
    """Whatever JSON a stranger sends; what is accepted can be read again."""
    try:
        record = record_of(SERVICES, document)
    except BadObject:
        return
    assert record_of(SERVICES, record.document()) == record


@given(kube.json_values)
def test_any_json_as_a_version_is_a_number_or_bad(value: object) -> None:
    """Never another exception, never a negative one."""
    try:
        assert parse_version(value) >= 0
    except BadObject:
        return


def test_an_absent_version_is_zero() -> None:
    """The Go Emitter's lists tell none."""
    assert parse_version(None) == parse_version("") == 0


@given(kube.keys)
def test_a_key_splits_into_what_it_was_made_of(key: str) -> None:
    """A cluster-scoped one has no namespace."""
    assert key_of(*split_key(key)) == key
    assert split_key("a") == ("", "a")


@given(
    listed=st.lists(kube.records(ENDPOINTS, kube.endpoints())),
    version=st.integers(0, 1 << 40),
    token=st.text(max_size=5),
)
def test_an_encoded_list_decodes_to_the_same(
    listed: list[Record], version: int, token: str
) -> None:
    """Records, version and continue token."""
    page = decode_list(ENDPOINTS, encode_list(ENDPOINTS, listed, version, token, remaining=3))
    assert (page.records, page.version) == (tuple(listed), version)
    assert (page.continue_token, page.bad) == (token, ())


def test_the_remaining_count_stands_beside_a_token_only() -> None:
    """As in the API."""
    with_token = orjson.loads(encode_list(SERVICES, [], 5, "t", remaining=3))
    assert with_token["metadata"]["remainingItemCount"] == 3
    without = orjson.loads(encode_list(SERVICES, [], 5, "", remaining=3))
    assert without["metadata"] == {"resourceVersion": "5"}


@given(
    st.lists(kube.json_values | kube.services(), max_size=6),
)
def test_bad_items_of_a_list_are_told_of_and_left_out(items: list[Any]) -> None:
    """Each item is either a record or a reason."""
    body = orjson.dumps({"kind": "ServiceList", "metadata": {}, "items": items})
    page = decode_list(SERVICES, body)
    assert len(page.records) + len(page.bad) == len(items)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 2000,
        b'{"kind":"Status"}',
        b'{"kind":"ServiceList","metadata":5}',
        b'{"kind":"ServiceList","items":{"a":1}}',
        b'{"kind":"ServiceList","metadata":{"resourceVersion":"x"}}',
        b'{"kind":"ServiceList","metadata":{"continue":["x"]}}',
        b'{"kind":"ServiceList","metadata":{"continue":%s}}' % (b"[" * DEPTH + b"]" * DEPTH),
    ],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    """As a whole, with BadObject."""
    with pytest.raises(BadObject):
        decode_list(SERVICES, body)


@given(st.binary(max_size=40))
def test_any_bytes_as_a_list_are_a_list_or_bad(body: bytes) -> None:
    """Never another exception."""
    try:
        decode_list(SERVICES, body)
    except BadObject:
        return


@given(
    status=kube.json_values,
    members=st.dictionaries(
        st.sampled_from(("message", "reason", "code", "details")),
        kube.json_values
        | st.just({"retryAfterSeconds": 5, "causes": [{"reason": nested(DEPTH)}]})
        | st.builds(nested, st.just(DEPTH)),
    ),
)
def test_any_json_as_a_status_is_an_error_of_the_api(
    status: object, members: dict[str, object]
) -> None:
    """A server may answer anything; the error can be printed and looked into."""
    for told in (status, {"kind": "Status", **members}):
        error = from_status(told, 500)
        assert isinstance(error.causes, tuple)
        assert isinstance(str(error), str)


@given(kube.subsets)
def test_packed_subsets_hold_the_same_endpoints(subsets: list[dict[str, Any]]) -> None:
    """However the API server packs them anew."""
    endpoints = flatten(subsets)
    assert flatten(pack(endpoints)) == endpoints


@given(kube.subsets, st.randoms(use_true_random=False))
def test_packing_does_not_depend_on_order(subsets: list[dict[str, Any]], random: Any) -> None:
    """Equal sets make equal documents."""
    shuffled = list(flatten(subsets))
    random.shuffle(shuffled)
    assert pack(shuffled) == pack(flatten(subsets))


@given(
    kube.json_values
    | st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "addresses": kube.json_values
                | st.lists(
                    st.fixed_dictionaries(
                        {"ip": kube.json_values}, optional={"hostname": kube.json_values}
                    )
                ),
                "ports": kube.json_values
                | st.lists(
                    st.fixed_dictionaries(
                        {"port": kube.json_values}, optional={"name": kube.json_values}
                    )
                ),
            },
        )
    )
)
def test_malformed_subsets_are_left_out(subsets: object) -> None:
    """Whatever they are, without an exception, and what is made of them is well formed."""
    endpoints = flatten(subsets)
    assert flatten(pack(endpoints)) == endpoints


def test_a_body_takes_the_memory_that_it_needs() -> None:
    document = {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "7"}}
    tracemalloc.start()
    try:
        kept = [record_of(SERVICES, document).body for _ in range(100)]
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken / len(kept) < len(kept[0]) + 100
