"""What a source's Services are called in the host."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from servicereflector.mirror.naming import Naming, name_template, namespace_template

#: A name as short as most are, or as long as it may be.
services = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
namespaces = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
sources = st.one_of(
    st.sampled_from(["east", "http://10.1.2.3:8080", "https://[fd00::1]:6443/a", "East", "--", ""]),
    namespaces,
    st.text(max_size=80),
)

_pieces = st.sampled_from(["{name}", "{namespace}", "{source}", "a", "-", "--", "7", "x" * 40])
_texts = st.lists(_pieces, min_size=1, max_size=6).map("".join)


def taken(text: str, read: Callable[[str], str] = name_template) -> bool:
    try:
        return read(text) == text
    except ValueError:
        return False


name_templates = _texts.filter(taken)
namespace_templates = _texts.filter(lambda text: taken(text, namespace_template))
namings = st.builds(Naming, name_templates, namespace_templates)


def is_label(text: str) -> bool:
    """As RFC 1123 has it."""
    return len(text) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text) is not None


def name_of(template: str, source: str, key: str) -> str:
    """The name in the host alone."""
    return Naming(name=template).host_key(source, key).partition("/")[2]


@given(st.text(), st.text())
def test_by_default_a_service_is_called_as_in_its_source(source: str, key: str) -> None:
    """Whatever its name: it is not looked at."""
    assert Naming().host_key(source, key) is key


@given(namings, sources, namespaces, services)
def test_what_a_template_makes_is_a_label(
    naming: Naming, source: str, namespace: str, name: str
) -> None:
    """For every source, and however long it would be."""
    host_namespace, slash, host_name = naming.host_key(source, f"{namespace}/{name}").partition("/")
    assert slash
    assert is_label(host_namespace)
    assert is_label(host_name)


@given(namings, namespaces, namespaces, services)
def test_what_fits_is_not_changed(naming: Naming, source: str, namespace: str, name: str) -> None:
    """The placeholders stand for just what they say."""
    filled = [
        template.replace("{name}", name)
        .replace("{namespace}", namespace)
        .replace("{source}", source)
        for template in (naming.namespace, naming.name)
    ]
    told = naming.host_key(source, f"{namespace}/{name}").split("/")
    for one, uncut in zip(told, filled, strict=True):
        if len(uncut) <= 63:
            assert one == uncut
        else:
            head, dash, _ = one.rpartition("-")
            assert dash
            assert uncut.startswith(head)
            assert not head.endswith("-")
            assert len(head) == len(uncut[:50].rstrip("-"))


@pytest.mark.parametrize("length", [63, 64, 65])
def test_a_name_is_cut_where_it_is_longer_than_a_label(length: int) -> None:
    """And not before."""
    told = name_of("b-{name}", "east", "a/" + "x" * (length - 2))
    assert len(told) == 63
    assert (told == "b-" + "x" * (length - 2)) is (length == 63)


@given(st.integers(0, 40), services, services)
def test_long_names_that_differ_only_at_the_end_stay_different(
    length: int, one: str, other: str
) -> None:
    """The end is what is cut."""
    assume(one != other)
    naming = Naming("{source}-{name}", "{source}-{namespace}")
    source = "s" * (63 + length)
    told = {naming.host_key(source, f"{end}/{end}") for end in (one, other)}
    names = {key.partition("/")[2] for key in told}
    assert len(names) == len(told) == 2


@given(sources, sources)
def test_two_sources_never_fall_together(one: str, other: str) -> None:
    """Neither by upper case, nor by what a label cannot hold."""
    assume(one != other)
    naming = Naming("{source}-{name}", "{source}")
    assert naming.host_key(one, "a/x") != naming.host_key(other, "a/x")


@pytest.mark.parametrize(("one", "other"), [("East", "EAST"), ("a.b", "a:b"), ("a", "a/")])
def test_sources_that_are_one_when_cleaned_are_told_apart(one: str, other: str) -> None:
    """By the hash of what they were."""
    assert name_of("{source}-{name}", one, "a/x") != name_of("{source}-{name}", other, "a/x")


@pytest.mark.parametrize("alike", ["east", "East", "east.", "-east", "http://east", "http---east"])
def test_sources_that_look_alike_are_told_apart(alike: str) -> None:
    """A label stays as it is; all else has a hash at its end."""
    told = name_of("{source}--{name}", alike, "a/x")
    plain = alike in ("east", "http---east")
    assert bool(re.fullmatch(r"(http-)?east-[a-z2-7]{12}--x", told)) is not plain
    assert (told == f"{alike}--x") is plain


@pytest.mark.parametrize(
    ("source", "name", "told"),
    [
        ("east", "cart", "east-cart"),
        ("http://10.1.2.3:8080", "cart", "http-10-1-2-3-8080-gmfdx5gzndzf-cart"),
        ("", "cart", "4oymiquy7qob-cart"),
        ("east", "a" * 63, "east-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-k7bmgktz5q3z"),
    ],
)
def test_a_name_stays_the_same_for_ever(source: str, name: str, told: str) -> None:
    """Another one would have each mirror deleted and made anew, with another ClusterIP."""
    assert name_of("{source}-{name}", source, f"shop/{name}") == told


def test_the_cut_leaves_no_dash_before_that_of_the_hash() -> None:
    """Where it falls behind one, or behind several."""
    told = name_of("b{name}", "east", f"a/{'x' * 46}---{'y' * 14}")
    assert re.fullmatch(r"bx{46}-[a-z2-7]{12}", told)


def test_what_a_name_holds_is_no_placeholder() -> None:
    """A source may tell what it likes."""
    assert Naming("b-{name}").host_key("east", "{source}/{source}") == "{source}/b-{source}"


def test_templates_may_give_two_services_one_key() -> None:
    """As the docstring says."""
    constant = Naming(namespace="imported")
    assert constant.host_key("east", "a/x") == constant.host_key("east", "b/x") == "imported/x"
    joined = Naming("{namespace}-{name}", "imported")
    assert joined.host_key("east", "a/b-c") == joined.host_key("east", "a-b/c")


@pytest.mark.parametrize(
    "text", ["{name}", "{source}-{name}", "{name}{name}", "x{name}2", "{name}--{namespace}"]
)
def test_a_template_of_names(text: str) -> None:
    """Is taken as it is."""
    assert name_template(text) == text


@pytest.mark.parametrize(
    "text", ["{namespace}", "imported", "7", "7-{name}", "{source}", "x" * 63, "x" * 62 + "{name}"]
)
def test_a_template_of_namespaces(text: str) -> None:
    """May be a constant, and begin with a digit, as a namespace may."""
    assert namespace_template(text) == text


@pytest.mark.parametrize("read", [name_template, namespace_template])
@pytest.mark.parametrize(
    "text",
    [
        "{Name}-{name}",
        "{cluster}-{name}",
        "{}-{name}",
        "{name}-{0}",
        "{name",
        "name}-{name}",
        "{{name}}",
        "{na{name}me}",
        "{name!r}",
        "{name:>9}",
        "{name.__class__}",
        "{name[0]}",
        "{ name }",
    ],
)
def test_what_is_no_placeholder_is_refused(read: Callable[[str], str], text: str) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="has a brace of no placeholder") as raised:
        read(text)
    assert str(raised.value) == (
        f"{text!r} has a brace of no placeholder: valid are {{name}}, {{namespace}}, {{source}}"
    )


@pytest.mark.parametrize("read", [name_template, namespace_template])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "East-{name}",
        "x.{name}",
        "x_{name}",
        "{name}/x",
        "{namespace}/{name}",
        "-{name}",
        "{name}-",
        "{name}-X",
        "{name} ",
        "{name}\n",
        "é{name}",
    ],
)
def test_what_is_invalid_in_every_name_is_refused(read: Callable[[str], str], text: str) -> None:
    """With what is valid."""
    with pytest.raises(ValueError, match="it may have a-z, 0-9 and -") as raised:
        read(text)
    assert str(raised.value).startswith(f"{text!r} makes no valid name: ")


def test_a_name_never_begins_with_a_digit_of_the_templates() -> None:
    """Older servers take no such Service."""
    with pytest.raises(ValueError, match="a letter at its beginning"):
        name_template("7-{name}")


@pytest.mark.parametrize("text", ["cart", "{namespace}-{source}"])
def test_a_template_of_names_needs_the_name(text: str) -> None:
    """All Services of a namespace would have the same."""
    with pytest.raises(ValueError, match=r"must have \{name\} in it"):
        name_template(text)


@pytest.mark.parametrize("text", ["x" * 64, "x" * 64 + "{namespace}"])
def test_a_template_longer_than_a_name_is_refused(text: str) -> None:
    """A constant would be cut, to what nobody asked for."""
    with pytest.raises(ValueError, match="at most 63 characters"):
        namespace_template(text)


@given(st.text(alphabet="{}nameas-7A!:. \n", max_size=20), sources, namespaces, services)
def test_whatever_is_taken_makes_labels(text: str, source: str, namespace: str, name: str) -> None:
    """Beside a placeholder or alone."""
    template = text if taken(text, namespace_template) else f"{text}{{name}}"
    if taken(template, namespace_template):
        key = Naming(namespace=template).host_key(source, f"{namespace}/{name}")
        assert is_label(key.partition("/")[0])
