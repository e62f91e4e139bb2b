"""Label selectors: what they match, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servicereflector.kube.selectors import (
    LabelSelector,
    SelectorError,
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


_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NUMBER = "for 'Gt', 'Lt' operators, the value must be an integer"


@pytest.mark.parametrize(
    ("text", "minor", "message"),
    [
        ("-a=b", 36, f'<nil>: Invalid value: "-a": {_NAME}'),
        ("-a=b", 20, f'invalid label key "-a": {_NAME}'),
        ("x/", 36, f'<nil>: Invalid value: "x/": name part must be non-empty; {_NAME}'),
        ("/y", 20, 'invalid label key "/y": prefix part must be non-empty'),
        ("a=b$c", 36, f'values[0][a]: Invalid value: "b$c": {_VALUE}'),
        ("a=b$c", 20, f'invalid label value: "b$c": at key: "a": {_VALUE}'),
        ("a>x", 36, f'values[0]: Invalid value: "x": {_NUMBER}'),
        ("a>x", 20, _NUMBER),
        (
            "a>-",
            36,
            f'[values[0]: Invalid value: "-": {_NUMBER}, '
            f'values[0][a]: Invalid value: "-": {_VALUE}]',
        ),
        ("a>-", 20, _NUMBER),
        ("a b", 36, "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a b", 20, "found 'b', expected: '=', '!=', '==', 'in', notin'"),
        ("a in (", 36, "found '', expected: ',', ')' or identifier"),
        ("a in (b,>", 36, "found '>', expected: ',', or identifier"),
        (
            "a=" + "b" * 64,
            36,
            f'values[0][a]: Invalid value: "{"b" * 64}": must be no more than 63 bytes',
        ),
    ],
)
def test_a_bad_requirement_is_refused_in_the_words_of_the_version(
    text: str, minor: int, message: str
) -> None:
    """1.36 names the place of what is wrong, and tells everything at once."""
    with pytest.raises(SelectorError) as raised:
        parse_labels(text, minor)
    assert str(raised.value) == "unable to parse requirement: " + message


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
