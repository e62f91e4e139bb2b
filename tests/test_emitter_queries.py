"""What a request asks for: the parameters of lists and watches, and continue tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.emitter.queries import Query, make_continue, parse_query, read_continue
from servicereflector.kube.selectors import parse_fields, parse_labels
from servicereflector.kube.status import ApiError
from servicereflector.store.views import Filter


def refused(**parameters: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_query(parameters)
    return caught.value


def test_nothing_asked_is_a_list_of_everything() -> None:
    assert parse_query({}) == Query(Filter())


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
        ({"watch": "1", "timeoutSeconds": "0"}, {"watch": True}),
        ({"watch": "", "timeoutSeconds": "-1"}, {"watch": True, "timeout": -1}),
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
    assert parse_query(parameters) == Query(**{"filter": Filter(), **expected})


def test_the_filter_is_made_of_path_and_selectors() -> None:
    query = parse_query({"labelSelector": "a=b", "fieldSelector": "metadata.name=x"}, "shop")
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
        ({"continue": "x"}, "invalid continue token: continue key is not valid"),
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
            {"resourceVersionMatch": "Exact", "resourceVersion": "1", "watch": "1"},
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
    assert parse_query({"continue": token, "limit": "5"}) == Query(
        Filter(), version=7, match="Exact", limit=5, after="shop/cart"
    )
    error = refused(**{"continue": token, "resourceVersion": "7"})
    assert error.message == "specifying resource version is not allowed when using continue"


keys = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1)


@given(st.integers(1, 2**63), keys, keys, st.booleans())
def test_a_token_tells_what_it_was_made_of(
    version: int, namespace: str, name: str, scoped: bool
) -> None:
    """Of a list of all namespaces and of one."""
    scope = namespace if scoped else ""
    token = make_continue(version, f"{namespace}/{name}", scope)
    assert read_continue(token, scope) == (version, f"{namespace}/{name}")


@given(st.text() | st.binary().map(lambda data: data.hex()))
def test_no_token_of_a_stranger_raises_anything_but_a_bad_request(token: str) -> None:
    """None of these is one of ours."""
    with pytest.raises(ApiError) as caught:
        read_continue(token, "")
    assert caught.value.code == 400
