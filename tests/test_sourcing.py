"""From flags and files to sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from servicereflector.client.connection import ConfigError
from servicereflector.mirror.admission import Admission
from servicereflector.mirror.freshness import Patience
from servicereflector.options import ReflectorOptions
from servicereflector.program import SourceClient
from servicereflector.sourcedir import SourceFile
from servicereflector.sourcing import Sourcing

KUBECONFIG = """
current-context: a
contexts: [{name: a, context: {cluster: b}}]
clusters: [{name: b, cluster: {server: "https://east.example:6443"}}]
"""


class Used:
    """What the program was told to use last."""

    def __init__(self) -> None:
        self.sources: list[SourceClient] = []
        self.spared: list[str] = []

    def __call__(self, sources: Sequence[SourceClient], spared: Iterable[str]) -> None:
        self.sources, self.spared = list(sources), list(spared)

    @property
    def names(self) -> list[str]:
        return [source.settings.name for source in self.sources]


def sourcing(*flags: str, used: Used | None = None) -> Sourcing:
    options = ReflectorOptions()
    options.parseOptions(list(flags))
    return Sourcing(Clock(), options, used or Used())  # type: ignore[arg-type]


def settings(made: Sourcing) -> dict[str, Any]:
    return {source.settings.name: source.settings for source in made.flags}


def a_file(name: str, url: str = "http://file.example", **rest: Any) -> SourceFile:
    given = {"kubeconfig": None, "selector": None, "stale_after": None, "remove_after": None}
    return SourceFile(name, url, **{**given, "digest": "1", **rest})


def test_sources_of_flags_in_their_order(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG)
    made = sourcing(
        f"--reflector.source-kubeconfig={kubeconfig}",
        "--source-api=b=http://b.example,http://a.example/",
    )
    assert {name: told.url for name, told in settings(made).items()} == {
        "b": "http://b.example",
        "http://a.example": "http://a.example",
        "https://east.example:6443": "https://east.example:6443",
    }
    assert made.flags[0].settings.name == "b"
    assert made.complete


def test_what_is_said_of_one_source() -> None:
    made = settings(
        sourcing(
            "--source-api=a=http://a.example,http://b.example/,c=http://c.example",
            "--reflector.source-selector=a=tier in (x,y)",
            "--reflector.source-selector=http://b.example/=app=b",
            "--reflector.stale-after=5m,a=30s,c=0",
            "--reflector.remove-after=http://b.example/=1h",
        )
    )
    assert made["a"].selector == "tier in (x,y)"
    assert made["a"].patience == Patience(30, None)
    assert made["http://b.example"].selector == "app=b"
    assert made["http://b.example"].patience == Patience(300, 3600)
    assert made["c"].selector is None
    assert made["c"].patience == Patience(None, None)


def test_what_is_said_of_one_source_is_beside_what_is_said_of_all(tmp_path: Path) -> None:
    """By a flag or by its file; of ExternalNames it comes before that."""
    used = Used()
    made = sourcing(
        f"--reflector.source-dir={tmp_path}",
        "--source-api=a=http://a.example,http://b.example/",
        "--reflector.allow-cidr=10.1.0.0/16,a=10.2.0.0/16,file=10.3.0.0/16",
        "--reflector.map-cidr=10.0.0.0/8=11.0.0.0/8,a=10.1.0.0/16=12.1.0.0/16",
        "--reflector.map-cidr=http://b.example/=10.0.0.0/8=13.0.0.0/8",
        "--reflector.deny-ports=22,a=80",
        "--reflector.external-names=false,a=true",
        "--reflector.namespaces=shop,a=web",
        "--reflector.deny-namespaces=file=web",
        used=used,
    )
    networks = {
        name: [n.first >> 16 for n in told.admission.addresses.allowed]
        for name, told in settings(made).items()
    }
    assert networks == {"a": [0x0A02, 0x0A01], "http://b.example": [0x0A01]}
    a, b = (settings(made)[name].admission for name in ("a", "http://b.example"))
    assert [r.after.first >> 24 for r in a.addresses.rewrites] == [12, 11]
    assert [r.after.first >> 24 for r in b.addresses.rewrites] == [13, 11]
    assert (a.denied_ports, b.denied_ports) == (((80, 80), (22, 22)), ((22, 22),))
    assert (a.external_names, b.external_names) == (True, None)
    # What is said of all is in the policy already.
    assert (a.namespaces, b.namespaces) == (("web",), ())
    own = Admission(denied_ports=((443, 443),), external_names=True, namespaces=("x",))
    made.files_changed([a_file("file", admission=own)], {})
    told = used.sources[-1].settings.admission
    assert (told.denied_ports, told.external_names) == (((443, 443), (22, 22)), True)
    assert (told.namespaces, told.denied_namespaces) == (("x",), ("web",))
    assert [n.first >> 16 for n in told.addresses.allowed] == [0x0A03, 0x0A01]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--reflector.allow-cidr=west=10.1.0.0/16"], "--reflector.allow-cidr: there is no sou"),
        (["--reflector.deny-namespaces=west=a"], "--reflector.deny-namespaces: there is no sou"),
        (["--reflector.stale-after=west=5m"], "--reflector.stale-after: there is no source 'west'"),
        (["--reflector.remove-after=west=5m"], "--reflector.remove-after: there is no source 'we"),
        (["--reflector.source-selector=app=x"], "--reflector.source-selector: there is no source"),
        (["--source-api=host=http://b.example"], "a source is called 'host'"),
        (["--source-api=east=http://b.example"], "two sources are called 'east'"),
        (["--reflector.source-kubeconfig=/nowhere"], "--reflector.source-kubeconfig: /nowhere"),
    ],
)
def test_mistakes(flags: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        sourcing("--source-api=east=http://a.example", *flags)
    assert str(raised.value).startswith(told)


def test_a_source_of_a_directory_may_come_later(tmp_path: Path) -> None:
    made = sourcing(f"--reflector.source-dir={tmp_path}", "--reflector.stale-after=west=5m")
    assert not made.complete


def test_without_the_role_there_are_none() -> None:
    made = sourcing("--source-api=east=http://a.example", "--reflector=false")
    assert made.flags == []


def test_files_come_after_the_flags_and_stay_who_they_are(tmp_path: Path) -> None:
    used = Used()
    made = sourcing(
        f"--reflector.source-dir={tmp_path}",
        "--source-api=z=http://z.example",
        "--reflector.stale-after=5m,b=1m",
        "--reflector.source-selector=b=app=b",
        used=used,
    )
    a, b = a_file("a", selector="app=a", stale_after=10.0), a_file("b", url="http://b.example")
    made.files_changed([a, b], {})
    assert made.complete
    assert used.names == ["z", "a", "b"]
    _, first, second = used.sources
    assert (first.settings.selector, first.settings.patience.stale_after) == ("app=a", 10)
    assert (second.settings.selector, second.settings.patience.stale_after) == ("app=b", 60)
    assert second.settings.url == "http://b.example"
    made.files_changed([a_file("a", digest="2"), b], {})
    assert used.names == ["z", "a", "b"]
    assert used.sources[1] is not first
    assert used.sources[2] is second
    made.files_changed([b], {})
    assert used.names == ["z", "b"]


def test_a_file_that_says_never_is_not_asked_of_the_flags(tmp_path: Path) -> None:
    used = Used()
    made = sourcing(f"--reflector.source-dir={tmp_path}", "--reflector.stale-after=5m", used=used)
    made.files_changed([a_file("a", stale_after=0.0)], {})
    assert used.sources[0].settings.patience == Patience(None, None)


def test_problems_are_kept_and_their_sources_spared(tmp_path: Path) -> None:
    used = Used()
    made = sourcing(
        f"--reflector.source-dir={tmp_path}", "--source-api=a=http://a.example", used=used
    )
    made.files_changed([a_file("a"), a_file("b")], {"c.yaml": "c.yaml: empty", "d~": "d~: no name"})
    assert used.names == ["a", "b"]
    assert used.spared == ["c"]
    assert made.problems == [
        "c.yaml: empty",
        "d~: no name",
        "a: a source of this name is given by a flag",
    ]
    made.files_changed([], {})
    assert (made.problems, used.names, used.spared) == ([], ["a"], [])
