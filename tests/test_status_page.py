"""The status page as it is made of a status document: its structure, its words, its colours."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.text import shown
from servicereflector.mirror.states import State
from servicereflector.status import page as pages
from servicereflector.status.drawing import MOST as MOST_DRAWN
from servicereflector.status.marks import SIGNS, kind_of
from servicereflector.status.markup import document
from servicereflector.status.page import POLICY, bytes_text, page
from servicereflector.status.plot import LEAST, seconds_text, summary
from servicereflector.status.plot import MOST as LONGEST
from servicereflector.status.public import public_mirror, public_text, public_url
from servicereflector.status.query import Query
from servicereflector.status.tables import ROWS, pager

SOURCE: dict[str, Any] = {
    "name": "east",
    "location": "https://east.example:6443",
    "state": "Synced",
    "reason": "",
    "objects": {"services": 1, "endpoints": 1},
    "rejected": 0,
    "heard_seconds_ago": 3.0,
    "held": 0,
    "held_until_seconds": None,
    "waiting": 0,
    "lag_seconds": 0.0,
    "mirrors": {"Mirrored": 1},
}

MIRROR: dict[str, Any] = {
    "key": "shop/cart",
    "source": "east",
    "source_key": "shop/cart",
    "state": "Mirrored",
    "reason": "",
    "refused_addresses": 0,
    "owner": "east",
    "addresses": ["10.9.0.1"],
    "address_count": 1,
    "changed_seconds_ago": 60.0,
}

STATUS: dict[str, Any] = {
    "version": "1.0",
    "time": "2026-01-01T00:00:00Z",
    "host": {"problem": ""},
    "election": None,
    "emitter": None,
    "problems": 0,
    "sources": [SOURCE],
    "delays": [],
    "matching": 1,
    "mirrors": [MIRROR],
}

EMITTER: dict[str, Any] = {
    "watchers": 6,
    "clients": 2,
    "sent_bytes": 4096,
    "slow": 0,
    "refused": 0,
    "certificate": None,
}


class Parsed(HTMLParser):
    """What a browser sees of the page.

    :ivar structure: the tags with the names of their attributes, in order.
    :ivar texts: each with the tag that it is in.
    """

    VOID = ("meta", "link", "input", "br")
    INLINE = ("a", "span", "code", "small")

    def __init__(self, told: dict[str, Any], query: Query = Query()) -> None:  # noqa: B008
        super().__init__(convert_charrefs=True)
        self.structure: list[tuple[str, tuple[str, ...]]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.values: list[str] = []
        self._open: list[str] = []
        self.html = document(page(told, query)).decode()
        self.feed(self.html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.structure.append((tag, tuple(name for name, _ in attrs)))
        self.elements.append((tag, dict(attrs)))
        self.values += [value or "" for _, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.structure.append((f"/{tag}", ()))
        if tag not in self.INLINE:
            self.texts.append(("", " "))

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    @property
    def text(self) -> str:
        told = (text for tag, text in self.texts if tag not in ("script", "style"))
        return " ".join("".join(told).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


def status(**changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(STATUS), **changed}


#: Where a stranger's text, or one with a stranger's part, stands.
PLACES = [
    ("version",),
    ("host", "problem"),
    ("election", "holder"),
    ("emitter", "certificate", "fingerprint"),
    *(("sources", 0, member) for member in ("name", "location", "reason")),
    *(("mirrors", 0, member) for member in ("key", "source", "source_key", "owner", "reason")),
    ("mirrors", 0, "addresses", 0),
]

#: What means something in HTML, or does something to a line.
_MARKUP = ["<script>", "</td>", "-->", "<!--", '"', "'", ">", "&lt;", "&#60;", "]]>"]
_ENDS = ["</title>", "</svg>", "</style>", "</script>", "\x00", "\u202e", "\n", "javascript:"]

HOSTILE = st.one_of(
    st.text(min_size=1),
    st.lists(
        st.sampled_from([*_MARKUP, *_ENDS, " onload=x "]),
        min_size=1,
        max_size=6,
    ).map("".join),
)


def with_text(place: tuple[str | int, ...], text: str) -> dict[str, Any]:
    certificate = {"fingerprint": "f", "self_signed": True, "expires": "later", "problem": False}
    told = status(
        election={"role": "standby", "identity": "a", "holder": "b", "lease": "a/b"},
        emitter={**EMITTER, "certificate": certificate},
        host={"problem": "x"},
    )
    # Two states that have the name in a command and in a sentence.
    told["sources"][0] |= {"state": "Failing", "reason": "x", "mirrors": {"Held": 1, "Orphaned": 2}}
    told["mirrors"][0] |= {"source_key": "x"}
    within: Any = told
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = text
    return told


@given(HOSTILE)
def test_no_text_leaves_its_element(text: str) -> None:
    """Whatever it says, the page has the same elements, and it stands there as a text."""
    for place in PLACES:
        check_text(place, text)


def check_text(place: tuple[str | int, ...], text: str) -> None:
    tame, hostile = Parsed(with_text(place, "tame")), Parsed(with_text(place, text))
    assert hostile.structure == tame.structure
    everything = "\n".join([*(found for _, found in hostile.texts), *hostile.values])
    assert shown(text)[:15] in everything or place[-1] == "name"
    changed = [
        (before, after)
        for before, after in zip(tame.values, hostile.values, strict=True)
        if before != after
    ]
    # Of attributes, only a source's name is in any: in links of the page's own, and in its form.
    assert all("tame" in before for before, _ in changed)
    assert all(after.startswith("?") for before, after in changed if before.startswith("?"))


def test_nothing_is_loaded_from_anywhere_and_nothing_runs_inline() -> None:
    parsed = Parsed(status(emitter=EMITTER))
    for attributes in (attributes for _, attributes in parsed.elements):
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
    links = [attributes["href"] or "" for _, attributes in parsed.elements if "href" in attributes]
    assert [link for link in links if ":" in link.partition("?")[0] and link[:5] != "data:"] == []
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; ")


def test_the_policy_lets_run_what_is_in_the_page_and_nothing_else() -> None:
    """A hash that is not of the text would be of no use to anybody."""
    parsed = Parsed(status())
    for tag in ("style", "script"):
        (text,) = (text for found, text in parsed.texts if found == tag)
        assert pages._hash(text) in POLICY
    assert POLICY.count("sha256-") == 2


def test_a_page_without_trouble_says_so() -> None:
    parsed = Parsed(status())
    assert "All is well" in parsed.text
    assert parsed.texts[next(i for i, t in enumerate(parsed.texts) if t[0] == "title")][1] == (
        "Service-Reflector"
    )


def test_conflicts_and_held_deletions_are_told_before_all_else() -> None:
    """With what the operator can do."""
    told = status()
    told["sources"][0] |= {"mirrors": {"Conflict": 2, "Held": 3}, "held": 3}
    told["sources"][0] |= {"held_until_seconds": 90.0}
    told["host"]["problem"] = "the host's version is not known"
    text = Parsed(told).text
    conflict, held = text.index("Conflict 2 names"), text.index("Held east, 3 names")
    assert conflict < held < text.index("Host") < text.index("Clusters")
    assert "left alone; service-reflector explain NAMESPACE/NAME tells more" in text
    assert "for another 90s; service-reflector release east lets them go" in text
    assert "3 things need attention" in text


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"state": "Failing", "reason": "services: refused"}, "Failing east: services: refused"),
        ({"state": "Stale", "reason": "silent"}, "Stale east: silent"),
        ({"mirrors": {"Failed": 1}}, "Failed 1 name: could not be written"),
        ({"mirrors": {"Rejected": 2}}, "Rejected 2 names: the host does not take them"),
        ({"mirrors": {"Stale": 1}}, "Stale east, 1 name: the endpoints count as not ready"),
        ({"mirrors": {"Withdrawn": 1}}, "Withdrawn east, 1 name: the endpoints are taken away"),
        ({"mirrors": {"Orphaned": 1}}, "service-reflector forget east deletes them"),
    ],
)
def test_every_trouble_of_a_source_is_told(source: dict[str, Any], told: str) -> None:
    text = Parsed(status(sources=[{**SOURCE, **source}])).text
    assert told in text
    assert "1 thing needs attention" in text


def test_what_the_operator_alone_may_read_is_counted() -> None:
    certificate = {"fingerprint": "f", "self_signed": True, "expires": "then", "problem": True}
    emitter = {**EMITTER, "certificate": certificate}
    text = Parsed(status(problems=2, emitter=emitter)).text
    assert "2 files cannot be used: service-reflector status tells why" in text
    assert "it stays as it was: service-reflector status tells why" in text
    assert "self-signed, until then" in text


def test_an_emitter_tells_its_clients_and_bytes() -> None:
    text = Parsed(status(emitter=EMITTER)).text
    assert "Clients with watches 2 Watches 6 Sent 4.0 KiB" in text
    assert "This process runs no Emitter." in Parsed(status()).text


def test_a_mirror_tells_all_that_is_known_of_it() -> None:
    mirror = {
        **MIRROR,
        "source_key": "store/basket",
        "addresses": [f"10.9.0.{n}" for n in range(10)],
        "address_count": 25,
        "refused_addresses": 2,
    }
    text = Parsed(status(mirrors=[mirror])).text
    assert (
        "shop/cart from store/basket east ✓ Mirrored east"
        " 10.9.0.0, 10.9.0.1 and 23 more 2 left out 60s ago"
    ) in " ".join(text.split())


def test_a_replica_tells_who_leads() -> None:
    election = {"role": "standby", "identity": "b", "holder": "a", "lease": "default/x"}
    assert "this replica stands by, a leads" in Parsed(status(election=election)).text


@pytest.mark.parametrize("count", [0, 1, MOST_DRAWN, MOST_DRAWN + 1, 500])
def test_the_picture_has_the_sources_in_trouble_and_is_no_larger_for_the_others(count: int) -> None:
    sources = [{**SOURCE, "name": f"s{n:03}"} for n in range(count)]
    if sources:
        sources[-1] |= {"state": "Failing", "reason": "refused"}
    parsed = Parsed(status(sources=sources, emitter=EMITTER))
    drawn = [text for tag, text in parsed.texts if tag == "text" and re.match(r"s\d{3}$", text)]
    assert len(drawn) == (count if count <= MOST_DRAWN else MOST_DRAWN - 1)
    assert not sources or sources[-1]["name"] in drawn
    more = f"and {count - len(drawn)} more, in the table below"
    assert (more in parsed.text) == (count > MOST_DRAWN)
    title = parsed.texts[[tag for tag, _ in parsed.texts].index("title", 5)][1]
    assert "Its Emitter: 2 clients." in title


def test_a_state_is_told_by_sign_and_word_beside_the_colour() -> None:
    """Every state has a kind, every kind a sign of its own."""
    assert len(set(SIGNS.values())) == len(SIGNS)
    for state in (s.value for s in State):
        told = status(mirrors=[{**MIRROR, "state": state}])
        assert f"{SIGNS[kind_of(state)]} {state}" in Parsed(told).text


def test_landmarks_headers_and_labels_are_there() -> None:
    """For who hears the page, or goes through it by the keyboard."""
    parsed = Parsed(status(emitter=EMITTER))
    (html,) = parsed.all("html")
    assert html["lang"] == "en"
    for landmark in ("header", "main", "footer", "h1"):
        assert len(parsed.all(landmark)) == 1
    identities = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(identities) == len(set(identities))
    for _, attributes in parsed.elements:
        assert attributes.get("aria-labelledby", identities[0]) in identities
        assert attributes.get("for", identities[0]) in identities
    assert {a["scope"] for a in parsed.all("th")} == {"col", "row"}
    labelled = {a["for"] for a in parsed.all("label")}
    assert labelled == {a["id"] for a in [*parsed.all("input"), *parsed.all("select")]}
    (live,) = (a for _, a in parsed.elements if "aria-live" in a)
    assert (live["aria-live"], live["role"]) == ("polite", "status")
    for region in (a for _, a in parsed.elements if a.get("class") in ("wide", "drawn")):
        assert (region["tabindex"], region["role"]) == ("0", "region")
        assert region["aria-label"]
    assert parsed.all("a")[0]["href"] == "#mirrors"


def pager_text(matching: int, number: int) -> str:
    return document(pager(matching, Query(q="a", page=number))).decode()


def test_pages_lead_to_each_other_with_the_same_filter() -> None:
    text = pager_text(2 * ROWS + 1, 2)
    assert f"Mirrors {ROWS + 1:,} to {2 * ROWS:,} of {2 * ROWS + 1:,}" in text
    assert re.findall(r'href="([^"]*)"', text) == [
        "?q=a",
        "?q=a",
        "?q=a&amp;page=3",
        "?q=a&amp;page=3",
    ]
    assert "<a" not in pager_text(ROWS, 1)


def test_the_filter_shows_what_it_is_set_to() -> None:
    parsed = Parsed(status(), Query("cart", "Conflict", "east"))
    assert parsed.all("input")[0]["value"] == "cart"
    chosen = [a["value"] for a in parsed.all("option") if "selected" in a]
    assert chosen == ["Conflict", "east"]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "seconds_ago": st.floats(0, 1e9),
                "count": st.integers(1, 10**6),
                "median_seconds": st.floats(0, 1e9),
                "longest_seconds": st.floats(0, 1e9),
            }
        ),
        max_size=5,
    )
)
def test_every_delay_is_drawn_within_the_plot(delays: list[dict[str, Any]]) -> None:
    parsed = Parsed(status(delays=delays))
    circles = parsed.all("circle")
    assert len(circles) == len(delays)
    for circle in circles:
        assert 0 <= float(circle["cx"] or "nan") <= 600
        assert 0 <= float(circle["cy"] or "nan") <= 190
    assert summary(delays) in parsed.text


def test_longer_delays_are_drawn_higher() -> None:
    taken = [LEAST / 2, LEAST, 0.02, 0.5, 30.0, LONGEST, LONGEST * 2]
    delays = [
        {"seconds_ago": 60.0, "count": 1, "median_seconds": s, "longest_seconds": s} for s in taken
    ]
    heights = [float(c["cy"] or "nan") for c in Parsed(status(delays=delays)).all("circle")]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == len(taken) - 2


def test_figures_have_units() -> None:
    assert [seconds_text(s) for s in (0.0, 0.0123, 0.25, 12.3, 123.4)] == [
        "0 ms",
        "12 ms",
        "0.25 s",
        "12 s",
        "123 s",
    ]
    assert [bytes_text(n) for n in (1, 1023, 1536, 5 * 2**20, 2**50)] == [
        "1 bytes",
        "1,023 bytes",
        "1.5 KiB",
        "5.0 MiB",
        "1,024.0 TiB",
    ]


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("shop/cart exists and 10.0.0.0/8 is denied", None),
        ("[fd00::]/8, fd00::/64, team-*/x, and/or", None),
        ("services: 404 not found", None),
        ("/var/run/secrets/token: no such file", "…: no such file"),
        ("kubeconfig:/root/.kube/config: not YAML", "kubeconfig:…: not YAML"),
        ("~/.kube/config, '/a/b'", "…, '…'"),
        ("ca-file=/ca.crt", "ca-file=…"),
        ("https://u:pw@a.example/x?token=t#f is it", "https://a.example/x is it"),
        ("https://[bad?token=t", "…"),
    ],
)
def test_paths_and_credentials_are_left_out_of_texts(text: str, public: str | None) -> None:
    assert public_text(text) == (text if public is None else public)


def test_a_mirror_of_a_source_that_is_named_by_its_url_is_told_without_its_password() -> None:
    """Mirrors of other programs may name it so."""
    url = "https://u:pw@a.example?t=1"
    told = public_mirror({**MIRROR, "source": url, "owner": url, "reason": f"{url!r} is gone"})
    assert (told["source"], told["owner"]) == ("https://a.example", "https://a.example")
    assert told["reason"] == "'https://a.example' is gone"
    assert public_url("") == ""


# Colours.

CSS = (files("servicereflector.status") / "page.css").read_text()


def schemes() -> Iterator[tuple[str, dict[str, str]]]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.S)
    for name, block in (("light", light), ("dark", dark)):
        yield name, dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_it_is_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_all_colours_are_of_the_two_schemes() -> None:
    """Or the next test would not know of one."""
    rules = re.sub(r":root \{.*?\}|/\*.*?\*/", "", CSS, flags=re.S)
    assert re.findall(r"#[0-9a-f]{3,8}\b|rgb|hsl|: (?:black|white)", rules) == []
    (_, light), (_, dark) = schemes()
    assert light.keys() == dark.keys() == set(re.findall(r"var\(--(\w+)\)", rules))


@pytest.mark.parametrize(("name", "colours"), list(schemes()))
def test_every_colour_can_be_read_on_every_ground(name: str, colours: dict[str, str]) -> None:
    """4.5:1 for text, 3:1 for the edges of fields (WCAG 2.2, 1.4.3 and 1.4.11); the rule between
    rows tells nothing."""
    for ground in ("ground", "raised"):
        for colour, value in colours.items():
            if colour in ("ground", "raised", "rule"):
                continue
            least = 3.0 if colour == "edge" else 4.5
            assert contrast(value, colours[ground]) >= least, (name, colour, ground)
