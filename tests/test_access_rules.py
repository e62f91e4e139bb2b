"""Who may ask for what, as values: token files, views, attributes of requests, kept answers."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.access.attributes import Attributes, attributes_of, forbidden
from servicereflector.access.cache import Cache
from servicereflector.access.identity import ANONYMOUS, AccessError, User, authenticated
from servicereflector.access.tokenfile import digest_of, parse_tokens
from servicereflector.access.views import parse_views
from servicereflector.kube.selectors import parse_labels
from servicereflector.store.scope import EVERYTHING, Part, Scope

words = st.text(st.sampled_from("abc-:.\"' é"), min_size=1, max_size=8).filter(
    lambda t: t.strip() == t and bool(t)
)


@given(
    rows=st.dictionaries(
        words, st.tuples(words, words, st.lists(words.filter(lambda w: "," not in w), max_size=3))
    )
)
def test_a_token_file_is_read_as_it_was_written(
    rows: dict[str, tuple[str, str, list[str]]],
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    for token, (name, uid, groups) in rows.items():
        writer.writerow([token, name, uid, ",".join(groups)])
    assert parse_tokens(text.getvalue()) == {
        digest_of(token): User(name, tuple(groups), uid)
        for token, (name, uid, groups) in rows.items()
    }


def test_no_token_is_kept() -> None:
    assert "s3cret" not in repr(parse_tokens("s3cret,west,1\n"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("t,u\n", 'line 1 has 2 columns: say token,user,uid and, if need be, "group,group"'),
        ("t,u,1\n\nt2\n", "line 3 has 1 columns"),
        ("t,,1\n", "line 1 names no user"),
        ('t,u,1\nt2,u,"1', "line 2 is not CSV"),
        ('t,u,"1"x\n', "line 1 is not CSV"),
    ],
)
def test_a_bad_line_is_told_by_its_number(text: str, why: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse_tokens(text)
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)


def test_lines_without_a_token_are_left_out() -> None:
    assert parse_tokens(",west,1\n\n") == {}


def test_of_a_token_that_comes_twice_the_last_line_counts() -> None:
    tokens = parse_tokens('t,west,1\nt,east,2,"a, b"\n')
    assert tokens == {digest_of("t"): User("east", ("a", "b"), "2")}


VIEWS = """
views:
- users: [west]
  namespaces: [shop, "team-*"]
  selector: tier=public
- groups: [edge]
  namespaces: [metrics]
- users: [root, west2]
"""


def test_a_user_sees_what_any_of_its_views_shows() -> None:
    views = parse_views(VIEWS)
    shop = Part(("shop", "team-*"), parse_labels("tier=public"))
    metrics = Part(("metrics",))
    assert views.scope_of(User("west")) == Scope((shop,))
    assert views.scope_of(User("west", ("edge",))) == Scope((shop, metrics))
    assert views.scope_of(User("other", ("edge",))) == Scope((metrics,))
    assert views.scope_of(User("root", ("edge",))) is EVERYTHING
    assert views.scope_of(User("nobody", ("edges",))) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("views: [", "not YAML (line 1)"),
        ("views: 2026-99-99", "not YAML"),
        ("- a", "say views: and a list of mappings"),
        ("views: {}", "say views: and a list of mappings"),
        ("views: []\nmore: 1", "say views: and a list of mappings"),
        ("views: [x]", "view 1 is no mapping"),
        ("views: [{users: [a]}, {users: [b], name: x}]", "view 2: unknown member 'name'"),
        ("views: [{namespaces: [a]}]", "view 1 is for nobody: say users or groups"),
        ("views: [{users: a}]", "view 1: users is no list of strings"),
        ("views: [{users: [1]}]", "view 1: users is no list of strings"),
        ("views: [{users: [a], namespaces: [Shop!]}]", "view 1: namespace 'Shop!' is no pattern"),
        ("views: [{users: [a], namespaces: []}]", "view 1: namespaces is empty"),
        ("views: [{users: [a], selector: 1}]", "view 1: selector is no string"),
        ("views: [{users: [a], selector: 'a=('}]", "view 1: 'a=(' is no label selector"),
    ],
)
def test_bad_views_are_told_in_a_line(text: str, why: str) -> None:
    with pytest.raises(AccessError) as caught:
        parse_views(text)
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)


def test_who_is_known_is_authenticated_once() -> None:
    west = authenticated(User("west", ("edge",)))
    assert west.groups == ("edge", "system:authenticated")
    assert authenticated(west) == west
    assert authenticated(ANONYMOUS) == ANONYMOUS


@pytest.mark.parametrize(
    ("method", "path", "parameters", "expected"),
    [
        ("GET", "/version", {}, Attributes("get", "/version")),
        ("GET", "/api/v1", {}, Attributes("get", "/api/v1")),
        ("GET", "/apis/discovery.k8s.io/v1", {}, Attributes("get", "/apis/discovery.k8s.io/v1")),
        ("POST", "/", {}, Attributes("post", "/")),
        ("HEAD", "/healthz", {}, Attributes("head", "/healthz")),
        ("GET", "/api/v1/services", {}, Attributes("list", version="v1", resource="services")),
        (
            "GET",
            "/api/v1/services",
            {"watch": "1"},
            Attributes("watch", version="v1", resource="services"),
        ),
        (
            "GET",
            "/api/v1/watch/namespaces/shop/services/cart",
            {},
            Attributes("watch", "", "", "v1", "services", "", "shop", "cart"),
        ),
        (
            "GET",
            "/api/v1/namespaces/shop/services/cart/status",
            {},
            Attributes("get", "", "", "v1", "services", "status", "shop", "cart"),
        ),
        (
            "GET",
            "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
            {"fieldSelector": "metadata.name=a", "watch": "false"},
            Attributes("list", "", "discovery.k8s.io", "v1", "endpointslices", "", "shop", "a"),
        ),
        (
            "GET",
            "/api/v1/namespaces/shop",
            {},
            Attributes("get", "", "", "v1", "namespaces", "", "shop", "shop"),
        ),
        (
            "GET",
            "/api/v1/namespaces/shop/status",
            {},
            Attributes("get", "", "", "v1", "namespaces", "status", "shop", "shop"),
        ),
        (
            "DELETE",
            "/api/v1/namespaces/shop/services",
            {},
            Attributes("deletecollection", "", "", "v1", "services", "", "shop"),
        ),
        (
            "PATCH",
            "/api/v1/namespaces/shop/services/c%61rt",
            {},
            Attributes("patch", "", "", "v1", "services", "", "shop", "cart"),
        ),
    ],
)
def test_the_attributes_of_requests(
    method: str, path: str, parameters: dict[str, str], expected: Attributes
) -> None:
    assert attributes_of(method, path, parameters) == expected


@given(
    method=st.sampled_from(["GET", "POST", "X"]),
    path=st.lists(
        st.sampled_from(["", "api", "apis", "v1", "watch", "namespaces", "a", "%2e", "%", "é"])
    ).map(lambda parts: "/" + "/".join(parts)),
    selector=st.text(max_size=10),
)
def test_every_request_has_attributes_that_can_be_forbidden(
    method: str, path: str, selector: str
) -> None:
    asked = attributes_of(method, path, {"fieldSelector": selector})
    assert bool(asked.path) != bool(asked.resource)
    assert len(asked.for_review()) == 1
    assert forbidden("x", asked).body()["code"] == 403


def test_an_answer_is_kept_until_its_time_is_up() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", "x", until=10.0)
    assert cache.get("a", 9.9) == "x"
    assert cache.get("a", 10.0) is None
    assert cache.get("a", 9.0) is None


def test_the_answer_that_was_asked_for_longest_ago_makes_room() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", "x", until=10.0)
    cache.put("b", "y", until=10.0)
    cache.get("a", 0.0)
    cache.put("c", "z", until=10.0)
    assert [cache.get(key, 0.0) for key in "abc"] == ["x", None, "z"]
