"""Field selectors: what they match, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.fields import FieldSelector, parse_fields
from servicereflector.kube.objects import Record
from servicereflector.kube.resources import ENDPOINTS, SERVICES, Resource
from servicereflector.kube.selectors import SelectorError

FIELDS = ("metadata.name", "metadata.namespace")

field_terms = st.tuples(
    st.sampled_from(FIELDS), st.sampled_from(("=", "==", "!=")), st.text("ab,=\\", max_size=4)
)


def escaped(value: str) -> str:
    return "".join("\\" + c if c in "\\,=" else c for c in value)


@given(
    terms=st.lists(field_terms, max_size=3),
    name=st.text("ab,=\\", max_size=4),
    namespace=st.sampled_from(("a", "b")),
)
def test_field_selectors_match_what_the_naive_model_matches(
    terms: list[tuple[str, str, str]], name: str, namespace: str
) -> None:
    """Also where a value holds the characters that must be escaped."""
    selector = parse_fields(",".join(field + op + escaped(value) for field, op, value in terms))
    actual = {"metadata.name": name, "metadata.namespace": namespace}
    expected = all((actual[field] == value) != (op == "!=") for field, op, value in terms)
    record = Record(namespace, name, "", 1, b"{}")
    assert selector.matches(record) == expected


@given(st.text("a=!,\\ b", max_size=20).map(lambda text: text.replace("a", "metadata.name")))
def test_no_text_raises_anything_but_selector_error_as_fields(text: str) -> None:
    """A refusal is a 400, anything else would be a 500."""
    try:
        parse_fields(text)
    except SelectorError:
        return


def test_an_escaped_backslash_does_not_escape_the_comma_behind_it() -> None:
    """``\\\\,`` is a backslash and the end of the term."""
    selector = parse_fields("metadata.name=a\\\\,metadata.namespace=b")
    assert selector.terms == (("metadata.name", True, "a\\"), ("metadata.namespace", True, "b"))


@pytest.mark.parametrize("value", ["a=b", "\\x", "a\\"])
def test_a_field_value_must_be_escaped_properly(value: str) -> None:
    """Kubernetes refuses bare ``=`` and unknown escapes."""
    with pytest.raises(SelectorError, match="invalid field selector"):
        parse_fields("metadata.name=" + value)


def test_empty_field_terms_are_skipped() -> None:
    """As Kubernetes does."""
    assert parse_fields(",,metadata.name=a,").terms == (("metadata.name", True, "a"),)
    assert parse_fields("") == parse_fields(",") == FieldSelector()


def test_the_order_of_field_terms_does_not_matter() -> None:
    """Equal filters share a view."""
    one = parse_fields("metadata.namespace=b,metadata.name=a")
    assert one == parse_fields("metadata.name==a,metadata.namespace=b")


def test_the_one_name_that_can_match_is_told() -> None:
    """It makes a list of one object cheap."""
    assert parse_fields("metadata.namespace=b,metadata.name=a").name == "a"
    assert parse_fields("metadata.name!=a").name == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("metadata.name=a\\b", "invalid field selector: invalid escape sequence: \\b"),
        ("metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"),
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        ("z,b=a=b", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_a_field_selector_is_refused_in_kubernetes_words(text: str, message: str) -> None:
    """The first in their sorted order."""
    with pytest.raises(SelectorError) as raised:
        parse_fields(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("resource", "minor", "message"),
    [
        (ENDPOINTS, 36, 'only "metadata.name", "metadata.namespace"'),
        (SERVICES, 30, 'only "metadata.name", "metadata.namespace"'),
        (SERVICES, 31, "field label not supported: spec.x"),
    ],
)
def test_a_resource_is_selected_by_the_fields_that_it_has(
    resource: Resource, minor: int, message: str
) -> None:
    """Services got more of them, and another text, with Kubernetes 1.31."""
    with pytest.raises(SelectorError) as raised:
        parse_fields("spec.x=1").check(resource, minor)
    assert message in str(raised.value)


def test_services_are_selected_by_type_and_address_since_1_31() -> None:
    """What the spec lacks is the empty text."""
    cart = Record("shop", "cart", "", 1, b'{"spec":{"type":"ClusterIP","clusterIP":"None"}}')
    bare = Record("shop", "bare", "", 1, b"{}")
    selector = parse_fields("spec.type=ClusterIP,spec.clusterIP=None")
    selector.check(SERVICES, 31)
    assert selector.matches(cart)
    assert not selector.matches(bare)
    assert parse_fields("spec.type=").matches(bare)
    with pytest.raises(SelectorError):
        selector.check(SERVICES, 30)
