"""Label and field selectors: what they match, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servicereflector.kube.selectors import (
    FieldSelector,
    LabelSelector,
    SelectorError,
    parse_fields,
    parse_labels,
)
from servicereflector.testing import strategies as kube

#: Text that is nearly a selector, and text that is none at all.
near_selectors = st.text("ab/.-_ =!(),<>in1\t\\\u00a0", max_size=20) | st.text(max_size=20)


@given(case=kube.label_selectors(), labels=kube.label_maps())
def test_a_selector_matches_what_the_naive_model_matches(
    case: kube.SelectorCase, labels: Mapping[str, str]
) -> None:
    """The model is put together beside the text and has never seen the parser."""
    assert parse_labels(case.text).matches(labels) == case.matches(labels)


@given(case=kube.label_selectors())
def test_a_printed_selector_parses_to_an_equal_one(case: kube.SelectorCase) -> None:
    """Clients are sent selectors that were parsed and printed."""
    parsed = parse_labels(case.text)
    assert parse_labels(str(parsed)) == parsed


@given(near_selectors)
@example("a>" + "1" * 5000)
@example("a>" + "0" * 5000)
@example("a\u00a0=b")
def test_no_text_raises_anything_but_selector_error(text: str) -> None:
    """What is accepted prints as something that is accepted again."""
    try:
        parsed = parse_labels(text)
    except SelectorError:
        return
    assert parse_labels(str(parsed)) == parsed


@given(value=st.text("0123456789+-", max_size=25) | st.just("9" * 5000))
def test_a_comparison_takes_any_value_of_a_label(value: str) -> None:
    """Labels come from strangers; what is no 64-bit number compares as false."""
    above = parse_labels("n>5").matches({"n": value})
    below = parse_labels("n<5").matches({"n": value})
    assert not (above and below)


def test_the_empty_selector_matches_everything() -> None:
    """As does one of spaces."""
    assert parse_labels("") == parse_labels("  ") == LabelSelector()
    assert LabelSelector().matches({})


def test_the_order_of_requirements_does_not_matter() -> None:
    """Equal filters share a view, however they are written."""
    assert parse_labels("a=1,b") == parse_labels(" b , a == 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app in", "unable to parse requirement: found '' expected: '('"),
        ("a==b==c", "found '==', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
    ],
)
def test_a_selector_is_refused_in_kubernetes_words(text: str, message: str) -> None:
    """The texts of Kubernetes 1.36."""
    with pytest.raises(SelectorError) as raised:
        parse_labels(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        (
            "-a=b",
            'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of ',
        ),
        (
            "a=b$c",
            'unable to parse requirement: values[0][a]: Invalid value: "b$c": '
            "a valid label must be ",
        ),
    ],
)
def test_a_bad_key_or_value_is_named(text: str, beginning: str) -> None:
    """The texts of Kubernetes 1.36 up to where they explain the syntax."""
    with pytest.raises(SelectorError) as raised:
        parse_labels(text)
    assert str(raised.value).startswith(beginning)


@pytest.mark.parametrize("text", ["a=", "a in ()", "a in (,)", "a=="])
def test_a_missing_value_is_the_empty_value(text: str) -> None:
    """``a=`` and ``a in ()`` mean the value ""."""
    selector = parse_labels(text)
    assert selector.matches({"a": ""})
    assert not selector.matches({"a": "b"})
    assert not selector.matches({})


@pytest.mark.parametrize("text", ["a!=b", "a notin (b)", "!a"])
def test_an_absent_label_satisfies_negations(text: str) -> None:
    """``!=`` and ``notin`` match objects that lack the key."""
    assert parse_labels(text).matches({})


@pytest.mark.parametrize("text", ["a=b", "a in (b)", "a>1", "a<1", "a"])
def test_an_absent_label_fails_everything_else(text: str) -> None:
    """``=``, ``in``, ``>`` and ``<`` do not match objects that lack the key."""
    assert not parse_labels(text).matches({})


@pytest.mark.parametrize("text", ["in", "notin", "in in (in,notin)", "notin=in", "!in"])
def test_the_words_of_the_grammar_may_be_keys_and_values(text: str) -> None:
    """Where the context allows it."""
    parse_labels(text)


@pytest.mark.parametrize("space", ["\u00a0", "\x0b", "\u2003"])
def test_only_ascii_blanks_separate(space: str) -> None:
    """Go's lexer skips space, tab, CR and LF; any other blank is a bad character."""
    with pytest.raises(SelectorError):
        parse_labels(f"a{space}=b")


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
    assert selector.matches(namespace, name) == expected


@given(near_selectors.map(lambda text: text.replace("a", "metadata.name")))
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
        (
            "spec.x=1",
            '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
    ],
)
def test_a_field_selector_is_refused_in_kubernetes_words(text: str, message: str) -> None:
    """The texts of Kubernetes 1.36 for Endpoints."""
    with pytest.raises(SelectorError) as raised:
        parse_fields(text)
    assert str(raised.value) == message
