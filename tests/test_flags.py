"""What makes values out of the flags' texts."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python import usage

from servicereflector.flags import (
    Flag,
    FlagOptions,
    duration,
    fraction,
    glob,
    named_value,
    number,
    per_source,
    period,
    quiet_time,
    silence,
    size,
    timeout,
)

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


class Options(FlagOptions):
    """A flag of each kind."""

    flags: ClassVar[tuple[Flag, ...]] = (
        Flag("hold", "5m", "", duration),
        Flag("part", "0.5", "", fraction),
        Flag("stale", "", "", per_source(duration), many=True),
        Flag("selector", "", "", named_value(str), many=True, split=False),
        Flag("namespaces", "", "", glob, many=True),
    )


def parse(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def refusal(*arguments: str) -> str:
    """What is said to arguments that are not taken."""
    with pytest.raises(usage.UsageError) as raised:
        parse(*arguments)
    return str(raised.value)


def refused(read: Callable[[str], Any], text: str) -> str:
    """What is said to a text that is not taken."""
    with pytest.raises(ValueError, match=r"say |form") as raised:
        read(text)
    return str(raised.value)


def test_defaults_are_read_too() -> None:
    """Each by its flag's reader."""
    options = parse()
    assert options["hold"] == 300.0
    assert options["part"] == 0.5
    assert options["stale"] == options["selector"] == options["namespaces"] == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("+0", 0.0),
        ("0s", 0.0),
        ("5m", 300.0),
        ("+5m", 300.0),
        ("1h30m", 5400.0),
        ("90s", 90.0),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("500ms", 0.5),
        ("1m1m", 120.0),
        ("1s1h", 3601.0),
        ("1us", 1e-6),
        ("1\u00b5s", 1e-6),
        ("1\u03bcs", 1e-6),
        ("1ns", 1e-9),
        ("2562047h47m16s", 9223372036.0),
    ],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    """What time.ParseDuration takes."""
    assert duration(text) == pytest.approx(seconds)
    assert isinstance(duration(text), float)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "00",
        "1.5",
        "-5m",
        "-0",
        "++5m",
        "5 m",
        " 5m",
        "5m ",
        "5m\n",
        "5M",
        "5d",
        "5min",
        "m",
        ".s",
        "1..5s",
        "1,5s",
        "1e3s",
        "5m3",
        "\u0665m",
        "inf",
        "nan",
        "2562048h",
        "9" * 5000 + "s",
        "9" * 100_000,
    ],
)
def test_another_duration_is_refused(text: str) -> None:
    """With an example."""
    assert refused(duration, text) == (f"{text!r} is no duration: say a duration such as 30s or 5m")


@given(
    st.lists(
        st.tuples(st.decimals(0, 9999, places=3), st.sampled_from([*UNITS])),
        min_size=1,
        max_size=4,
    )
)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[Any, str]]) -> None:
    """In any order, and repeated."""
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration(text) == pytest.approx(sum(float(n) * UNITS[unit] for n, unit in parts))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("1", 1.0), ("0.5", 0.5), (".25", 0.25), ("1.", 1.0), ("1.000", 1.0)],
)
def test_fractions(text: str, value: float) -> None:
    """Both ends included."""
    assert fraction(text) == value
    assert isinstance(fraction(text), float)


@pytest.mark.parametrize(
    "text", ["", ".", "1.01", "2", "-0.5", "+0.5", "50%", "5e-1", "0,5", " 0.5", "nan", "inf", "½"]
)
def test_another_fraction_is_refused(text: str) -> None:
    """With its range."""
    assert refused(fraction, text) == (
        f"{text!r} is no fraction: say a number from 0 to 1, for example 0.5"
    )


@given(st.decimals(0, 1, places=4))
def test_each_decimal_from_0_to_1_is_a_fraction(value: Any) -> None:
    """Written out."""
    assert fraction(f"{value:f}") == float(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5m", ("", 300.0)),
        ("east=5m", ("east", 300.0)),
        ("http://10.1.2.3:8080=0", ("http://10.1.2.3:8080", 0.0)),
        ("https://[fd00::1]:6443/a=90s", ("https://[fd00::1]:6443/a", 90.0)),
    ],
)
def test_a_value_may_be_one_sources(text: str, value: tuple[str, float]) -> None:
    """Called by its name or by its URL."""
    assert per_source(duration)(text) == value


@pytest.mark.parametrize("text", ["=5m", "east=", "="])
def test_half_a_value_of_a_source_is_refused(text: str) -> None:
    """With the form that is meant."""
    assert refused(per_source(duration), text) == f"{text!r} is not of the form [NAME=]VALUE"


def test_what_is_wrong_with_a_sources_value_is_told() -> None:
    """By the reader of the values, and by the flag."""
    told = "--stale: '5' is no duration: say a duration such as 30s or 5m"
    assert refusal("--stale=east=5") == refusal("--stale=5") == told
    assert refusal("--stale=10m,east=5") == told


def test_values_of_sources_make_a_list() -> None:
    """Separated by commas or repeated."""
    options = parse("--stale=10m,east=5m", "--stale", "http://a:80=1h")
    assert options["stale"] == [("", 600.0), ("east", 300.0), ("http://a:80", 3600.0)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("east=app=shop,tier in (a,b)", ("east", "app=shop,tier in (a,b)")),
        ("http://10.1.2.3:8080=app", ("http://10.1.2.3:8080", "app")),
        ("east==", ("east", "=")),
        ("east=", ("east", "")),
    ],
)
def test_a_named_value_begins_behind_the_first_equals_sign(
    text: str, value: tuple[str, str]
) -> None:
    """Later ones are its own; it may be empty, as a selector of everything is."""
    assert named_value(str)(text) == value


@pytest.mark.parametrize("text", ["", "east", "=app", "="])
def test_a_named_value_without_its_name_is_refused(text: str) -> None:
    """With the form that is meant."""
    assert refused(named_value(str), text) == f"{text!r} is not of the form NAME=VALUE"


def test_named_values_are_repeated_not_comma_separated() -> None:
    """The comma is the value's own."""
    options = parse("--selector=east=a in (b,c),d", "--selector=west=e")
    assert options["selector"] == [("east", "a in (b,c),d"), ("west", "e")]
    assert refusal("--selector=app") == "--selector: 'app' is not of the form NAME=VALUE"


def test_what_is_wrong_with_a_named_value_is_told() -> None:
    """By the reader of the values."""
    assert refused(named_value(fraction), "east=2").startswith("'2' is no fraction: ")


@pytest.mark.parametrize(
    "text",
    ["shop", "kube-*", "team-?", "[a-c]*", "[!a-c]x", "example.com/", "*.example.com/A_b", "*"],
)
def test_globs(text: str) -> None:
    """Are taken as they are."""
    assert glob(text) == text


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a,b", "a\n", "!a", "[a", "a]", "[]", "[!]", "[[]]", "a=b", "a:b", "é"]
)
def test_a_glob_that_matches_nothing_is_refused(text: str) -> None:
    """With what it may hold."""
    assert refused(glob, text) == (
        f"{text!r} is no pattern: say letters, digits and -._/ with *, ? and [a-z] or [!a-z]"
    )


@given(st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_./]{0,9}[A-Za-z0-9])?", fullmatch=True))
def test_every_key_is_a_glob_of_itself(key: str) -> None:
    """It has no character that means something else."""
    assert fnmatchcase(key, glob(key))


def test_globs_make_a_list() -> None:
    """Blank ones are none; a bad one is told alone."""
    assert parse("--namespaces=a, b*,,", "--namespaces=c")["namespaces"] == ["a", "b*", "c"]
    assert refusal("--namespaces=a,b c").startswith("--namespaces: 'b c' is no pattern: ")


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("3s", 3.0), ("1h", 3600.0)])
def test_a_silence_that_can_be_told_from_quiet(text: str, seconds: float) -> None:
    assert silence(text) == seconds


@pytest.mark.parametrize("text", ["1s", "2999ms", "1ns"])
def test_a_silence_that_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="too short: say 3s at the least, or 0"):
        silence(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("10s", 10.0), ("1h", 3600.0)])
def test_a_period_that_costs_little(text: str, seconds: float) -> None:
    assert period(text) == seconds


@pytest.mark.parametrize("text", ["1s", "9999ms", "1ns"])
def test_a_period_that_costs_too_much(text: str) -> None:
    with pytest.raises(ValueError, match="too short: say 10s at the least, or 0"):
        period(text)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("1", 1), ("512Ki", 524288), ("8Mi", 8388608), ("2Gi", 2**31), ("5k", 5000)],
)
def test_a_size_is_written_as_kubernetes_writes_quantities(text: str, bytes_: int) -> None:
    """With a suffix or without."""
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "0Mi", "-1", "8MB", "1.5Mi", "8 Mi", "\u0661", "9" * 99])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With what is."""
    with pytest.raises(ValueError, match="say a number of bytes such as 8Mi"):
        size(text)


@pytest.mark.parametrize(
    ("read", "text"), [(timeout, "0"), (timeout, "0s"), (quiet_time, "2.9s"), (number, "0")]
)
def test_limits_that_leave_nothing_are_refused(read: Callable[[str], object], text: str) -> None:
    """A client that may do nothing would only look as if it were running."""
    with pytest.raises(ValueError, match="is too s"):
        read(text)
