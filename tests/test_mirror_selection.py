"""Globs of namespaces and keys."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.globs import matches_any
from servicereflector.mirror.copying import IGNORED
from servicereflector.mirror.selection import refused_namespace

#: Of few letters, so that patterns match.
texts = st.text(alphabet="aAb./-\n", max_size=6)
patterns = st.text(alphabet="aAb./-*?[]!^|()$\\", max_size=5)
pattern_lists = st.lists(patterns, max_size=4)

names = st.sampled_from(["a", "b", "kube-a", "kube-b"])
globs = st.lists(st.sampled_from(["a", "b", "kube-*", "?", "[!a]", "*-a"]), max_size=2)


def one_by_one(text: str, patterns: Sequence[str]) -> bool:
    """What fnmatch says to each."""
    return any(fnmatchcase(text, f"{p}*" if p.endswith("/") else p) for p in patterns)


@given(texts, pattern_lists)
def test_a_text_matches_as_fnmatch_has_it(text: str, patterns: list[str]) -> None:
    """One pattern does not change what another says."""
    assert matches_any(text, patterns) is one_by_one(text, patterns)


@given(st.lists(texts, min_size=1, max_size=4), st.data())
def test_a_plain_text_matches_itself(plain: list[str], data: st.DataObject) -> None:
    """Wherever it stands among others."""
    assert matches_any(data.draw(st.sampled_from(plain)), plain)


@given(texts)
def test_nothing_matches_no_patterns(text: str) -> None:
    """Of either kind of sequence."""
    assert matches_any(text, ()) is False
    assert matches_any(text, []) is False


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("shop", "shop", True),
        ("shop", "Shop", False),
        ("shop", "sho", False),
        ("shop", "hop", False),
        ("shop\n", "shop", False),
        ("shop", "s*", True),
        ("shop", "sh?p", True),
        ("shop", "[!a-r]hop", True),
        ("shop", "[!s]hop", False),
        ("example.com/owner", "example.com/", True),
        ("example.com/", "example.com/", True),
        ("example.com", "example.com/", False),
        ("an.example.com/owner", "example.com/", False),
        ("exampleXcom/owner", "example.com/", False),
        ("an.example.com/owner", "*.example.com/", True),
    ],
)
def test_patterns(text: str, pattern: str, matches: bool) -> None:
    """Of the whole text, in upper and lower case as it is."""
    assert matches_any(text, [pattern]) is matches


@given(st.sampled_from(IGNORED), st.text(alphabet="ax.-/*", max_size=5))
def test_the_usual_keys_are_no_globs(key: str, end: str) -> None:
    """A key of these, or all that is below a slash."""
    assert matches_any(key + end, [key]) is (end == "" or key.endswith("/"))


@given(names, names, globs, globs)
def test_a_namespace_is_refused_by_either_list(
    source: str, host: str, allowed: list[str], denied: list[str]
) -> None:
    """What is denied may be the host's, what is allowed is the source's."""
    refused = (
        one_by_one(source, denied)
        or one_by_one(host, denied)
        or (bool(allowed) and not one_by_one(source, allowed))
    )
    assert bool(refused_namespace(source, host, allowed, denied)) is refused


def test_without_lists_nothing_is_refused() -> None:
    """The default."""
    assert refused_namespace("a", "b", (), ()) == ""


def test_a_refusal_tells_which_namespace_and_why() -> None:
    """A denied one before one that is not allowed."""
    assert (
        refused_namespace("kube-system", "shop", ["a"], ["kube-*"])
        == "the source's namespace 'kube-system' is denied"
    )
    assert (
        refused_namespace("shop", "kube-system", ["a"], ["kube-*"])
        == "the host's namespace 'kube-system' is denied"
    )
    assert (
        refused_namespace("shop", "a", ["a"], ["kube-*"])
        == "the source's namespace 'shop' is not among those to mirror"
    )


def test_the_hosts_namespace_need_not_be_allowed() -> None:
    """A template may have changed it."""
    assert refused_namespace("shop", "imported", ["shop"], []) == ""
