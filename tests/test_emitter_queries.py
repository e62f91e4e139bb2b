"""What a request asks for: the parameters of lists and watches, and continue tokens."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.emitter.queries import (
    Query,
    check_path_segment,
    check_timeout,
    parse_get,
    parse_query,
)
from servicereflector.emitter.tokens import make_continue, read_continue
from servicereflector.kube.fields import parse_fields
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.selectors import parse_labels
from servicereflector.kube.status import ApiError
from servicereflector.store.views import Filter


def refused(**parameters: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_query(parameters, SERVICES)
    return caught.value


STREAMED = {"watch": True, "match": "NotOlderThan", "initial_events": True}


def test_nothing_asked_is_a_list_of_everything() -> None:
    assert parse_query({}, SERVICES) == Query(Filter())


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"resourceVersion": "0", "limit": "5"}, {"version": 0}),
        ({"resourceVersion": "7"}, {"version": 7}),
        ({"resourceVersion": "7", "limit": "5"}, {"version": 7, "match": "Exact", "limit": 5}),
        ({"limit": "-3"}, {}),
        (
            {"limit": "1", "fieldSelector": "metadata.name=x"},
            {"filter": Filter(fields=parse_fields("metadata.name=x"))},
        ),
        ({"watch": "1", "timeoutSeconds": "0"}, {**STREAMED}),
        ({"watch": "", "timeoutSeconds": "-1"}, {**STREAMED, "timeout": -1}),
        ({"watch": "FALSE", "allowWatchBookmarks": "yes"}, {"bookmarks": True}),
        (
            {"resourceVersion": "7", "resourceVersionMatch": "NotOlderThan", "limit": "5"},
            {"version": 7, "match": "NotOlderThan", "limit": 5},
        ),
    ],
)
def test_parameters_mean_what_they_mean_to_kube_apiserver(
    parameters: dict[str, str], expected: dict[str, Any]
) -> None:
    """A limit beside "0" is ignored, beside a version it asks for that version."""
    assert parse_query(parameters, SERVICES) == Query(**{"filter": Filter(), **expected})


def test_the_filter_is_made_of_path_and_selectors() -> None:
    query = parse_query(
        {"labelSelector": "a=b", "fieldSelector": "metadata.name=x"}, SERVICES, "shop"
    )
    assert query.filter.namespace == "shop"
    assert query.filter.labels == parse_labels("a=b")
    assert query.filter.fields.name == "x"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"labelSelector": "a in"}, "unable to parse requirement: found '' expected: '('"),
        ({"limit": "x"}, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            {"resourceVersion": "x"},
            "invalid resource version: resourceVersion: "
            'Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax',
        ),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(parameters: dict[str, str], message: str) -> None:
    error = refused(**parameters)
    assert (error.code, error.message) == (400, message)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "1", "continue": "x"},
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        (
            {"resourceVersionMatch": "Newest", "resourceVersion": "1"},
            'Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1", "watch": "1"},
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
            "provided",
        ),
    ],
)
def test_what_does_not_go_together_is_invalid(parameters: dict[str, str], message: str) -> None:
    error = refused(**parameters)
    assert error.code == 422
    assert (
        error.message == f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {message}'
    )
    assert error.details is not None
    assert error.details["causes"][0]["field"] == "resourceVersionMatch"


def test_a_continued_list_goes_on_at_the_version_of_its_first_page() -> None:
    token = make_continue(7, "shop/cart", "")
    assert parse_query({"continue": token, "limit": "5"}, SERVICES) == Query(
        Filter(), version=7, match="Exact", limit=5, start="shop/cart"
    )
    error = refused(**{"continue": token, "resourceVersion": "7"})
    assert error.message == "specifying resource version is not allowed when using continue"


keys = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1)


@given(st.integers(1, 2**63), keys, keys, st.booleans(), st.booleans())
def test_a_token_tells_what_it_was_made_of(
    version: int, namespace: str, name: str, scoped: bool, absolute: bool
) -> None:
    """Of a list of all namespaces and of one."""
    scope = namespace if scoped else ""
    token = make_continue(version, f"{namespace}/{name}", scope, absolute=absolute)
    assert read_continue(token, scope, 36) == (version, f"{namespace}/{name}")


@given(st.text() | st.binary().map(lambda data: data.hex()))
def test_no_token_of_a_stranger_raises_anything_but_a_bad_request(token: str) -> None:
    """None of these is one of ours."""
    with pytest.raises(ApiError) as caught:
        read_continue(token, "", 36)
    assert caught.value.code == 400


def refused_by(minor: int, **parameters: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_query(parameters, SERVICES, minor=minor)
    return caught.value


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("token", "minor", "why"),
    [
        ("!!!", 36, "illegal base64 data at input byte 0"),
        ("abc!", 36, "illegal base64 data at input byte 3"),
        ("abcde", 36, "illegal base64 data at input byte 4"),
        (encoded({}), 36, "server does not recognize this encoded version "),
        (encoded({}), 20, 'server does not recognize this encoded version ""'),
        (
            encoded({"v": "meta.k8s.io/v1", "rv": 0, "start": "a"}),
            36,
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            encoded({"v": "meta.k8s.io/v1", "rv": 5, "start": ""}),
            36,
            "encoded start key empty (version meta.k8s.io/v1)",
        ),
        *(
            (encoded({"v": "meta.k8s.io/v1", "rv": 5, "start": start}), 36, start)
            for start in ("../x", "a/../b", "a//b", "//a", "/a/", "/./a")
        ),
    ],
)
def test_a_bad_token_is_refused_in_kubernetes_words(token: str, minor: int, why: str) -> None:
    """Where it does not depend on Go's JSON parser."""
    error = refused_by(minor, **{"continue": token})
    message = f"invalid continue token: continue key is not valid: {why}"
    assert (error.code, error.message) == (400, message)


def test_a_token_may_begin_with_a_slash() -> None:
    """As those of 1.36 do."""
    token = encoded({"v": "meta.k8s.io/v1", "rv": -1, "start": "/shop/cart\0"})
    assert read_continue(token, "", 20) == (None, "shop/cart\0")


def test_everything_that_does_not_go_together_is_told_at_once() -> None:
    error = refused_by(36, **{"resourceVersionMatch": "x", "continue": "abc"})
    assert error.details is not None
    assert [cause["reason"] for cause in error.details["causes"]] == [
        "FieldValueForbidden",
        "FieldValueForbidden",
        "FieldValueNotSupported",
    ]
    assert "is invalid: [resourceVersionMatch: Forbidden" in error.message


@pytest.mark.parametrize(
    ("minor", "parameters", "fields"),
    [
        (20, {"resourceVersionMatch": "x", "watch": "1"}, 3),
        (36, {"resourceVersionMatch": "x", "watch": "1"}, 2),
        (36, {"sendInitialEvents": "true", "watch": "1"}, 1),
        (33, {"sendInitialEvents": "true", "watch": "1"}, 2),
        (33, {"sendInitialEvents": "", "watch": "1", "resourceVersionMatch": "NotOlderThan"}, 1),
        (36, {"sendInitialEvents": "false"}, 1),
    ],
)
def test_what_goes_together_depends_on_the_version(
    minor: int, parameters: dict[str, str], fields: int
) -> None:
    error = refused_by(minor, **parameters)
    assert error.details is not None
    assert (error.code, len(error.details["causes"])) == (422, fields)


def test_older_servers_do_not_know_initial_events() -> None:
    assert parse_query({"sendInitialEvents": "true"}, SERVICES, minor=26) == Query(Filter())


@pytest.mark.parametrize(
    ("minor", "parameters", "streams"),
    [
        (36, {}, True),
        (36, {"resourceVersion": "0"}, True),
        (36, {"resourceVersion": "7"}, None),
        (36, {"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}, False),
        (33, {}, None),
        (20, {}, None),
    ],
)
def test_a_watch_from_nowhere_streams_a_list_first(
    minor: int, parameters: dict[str, str], streams: bool | None
) -> None:
    """In servers with the feature WatchList (apimachinery internalversion/defaults)."""
    query = parse_query({"watch": "1", **parameters}, SERVICES, minor=minor)
    assert query.initial_events is streams


def test_a_legacy_watch_path_is_checked_as_a_list() -> None:
    with pytest.raises(ApiError) as caught:
        parse_query({"sendInitialEvents": "true"}, SERVICES, legacy_watch=True)
    assert caught.value.code == 422
    assert parse_query({}, SERVICES, legacy_watch=True).initial_events is None


@pytest.mark.parametrize(
    ("minor", "parameters", "code"),
    [
        (36, {}, 400),
        (20, {}, 500),
        (20, {"limit": "2"}, 400),
        (20, {"resourceVersionMatch": "Exact"}, 400),
        (20, {"resourceVersionMatch": "NotOlderThan"}, 500),
        (36, {"watch": "1"}, 500),
    ],
)
def test_an_unreadable_version_is_refused_by_who_reads_it(
    minor: int, parameters: dict[str, str], code: int
) -> None:
    """etcd's layer answers 400, the watch cache of old and every watch 500."""
    error = refused_by(minor, resourceVersion="abc", **parameters)
    assert (error.code, error.reason) == (code, "BadRequest" if code == 400 else "")
    assert error.message.startswith("invalid resource version: ") == (code == 400)


@pytest.mark.parametrize(
    ("minor", "parameters", "code", "retry"),
    [
        (36, {"resourceVersionMatch": "Exact"}, 504, 1),
        (20, {"resourceVersionMatch": "Exact"}, 500, None),
        (20, {"limit": "2"}, 500, None),
        (20, {"limit": "2", "resourceVersionMatch": "NotOlderThan"}, 504, None),
        (20, {}, 504, 1),
        (20, {"watch": "1"}, 504, 1),
    ],
)
def test_a_version_that_does_not_come_is_refused_by_who_waited(
    minor: int, parameters: dict[str, str], code: int, retry: int | None
) -> None:
    """Before 1.34 etcd answered for exact versions and for pages."""
    query = parse_query({"resourceVersion": "9", **parameters}, SERVICES, minor=minor)
    error = query.too_early(minor, 9, 5)
    assert (error.code, error.retry_after) == (code, retry)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("9" * 5000, f'strconv.ParseInt: parsing "{"9" * 5000}": value out of range'),
        (str(1 << 63), f'strconv.ParseInt: parsing "{1 << 63}": value out of range'),
    ],
)
def test_a_number_is_read_as_go_reads_it(text: str, message: str) -> None:
    for name in ("limit", "timeoutSeconds"):
        assert refused(**{name: text, "labelSelector": ","}).message == message


@pytest.mark.parametrize("text", ["1s", "1h2m3.5s", "+.5ms", "-1us", "0", "5µs", ""])
def test_a_timeout_is_a_duration(text: str) -> None:
    check_timeout({"timeout": text}, 36)


@pytest.mark.parametrize("text", ["x", "5", "1d", "s", "1s "])
def test_a_timeout_that_is_none_is_refused(text: str) -> None:
    """From 1.21 on."""
    with pytest.raises(ApiError) as caught:
        check_timeout({"timeout": text}, 36)
    message = f'invalid timeout specified in the request URL - time: invalid duration "{text}"'
    assert (caught.value.code, caught.value.message) == (400, message)
    check_timeout({"timeout": text}, 20)


def test_export_is_no_longer_there() -> None:
    """1.20 executed it; here it is ignored then."""
    with pytest.raises(ApiError, match="no longer supported"):
        parse_get({"export": "true"}, 36)
    assert parse_get({"export": "true", "resourceVersion": "7"}, 20) == 7


@pytest.mark.parametrize("name", [".", "..", "a%b"])
def test_a_name_that_no_object_can_have_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="Name parameter invalid"):
        check_path_segment(name)
    check_path_segment("cart")
