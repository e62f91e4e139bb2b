"""What the program answers to its operator, of programs in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicereflector import __version__
from servicereflector.administration import Administration
from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.freshness import Patience
from servicereflector.mirror.naming import Naming
from servicereflector.mirror.policy import Policy
from servicereflector.program import Roles
from servicereflector.reflector.controller import STARTING
from servicereflector.reflector.follower import SourceSettings
from servicereflector.reflector.journal import ENTRIES, NAMES, Journal
from servicereflector.testing.clusters import Mesh, Node, endpoints, service


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def export(node: Node, key: str, ip: str = "10.9.0.1") -> None:
    node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, [ip]))


def administration(node: Node, *problems: str) -> Administration:
    assert node.program is not None
    seconds = node.cluster.network.clock.seconds
    return Administration(node.program, seconds, lambda: list(problems))


def joined(mesh: Mesh, policy: Policy, *sources: object) -> Node:
    roles = Roles(emitted=None, reflected=LabelSelector(), policy=policy)
    return mesh.join("west", sources, roles=roles)  # type: ignore[arg-type]


def test_the_status_of_a_program_that_works(mesh: Mesh) -> None:
    east = mesh.join("east")
    mesh.join("north")
    url = "http://east.example"
    west = joined(mesh, Policy(), ("east", SourceSettings("east", url=url)), "north")
    for key in ("shop/cart", "shop/taken"):
        export(east, key)
    west.cluster.put(SERVICES, service("shop/taken"))
    mesh.advance(STARTING + 2)
    status = administration(west, "x.yaml: not YAML").status()
    assert status["version"] == __version__
    assert status["host"] == {"problem": ""}
    assert status["problems"] == ["x.yaml: not YAML"]
    first, second = status["sources"]
    assert first["name"] == "east"
    assert first["location"] == url
    assert first["state"] == "Synced"
    assert first["services"] == 2
    assert first["mirrors"] == {"Conflict": 1, "Mirrored": 1}
    assert 0 <= first["heard_seconds_ago"] <= STARTING + 2
    assert (second["name"], second["mirrors"]) == ("north", {})
    assert [(m["key"], m["source"], m["state"], m["code"]) for m in status["mirrors"]] == [
        ("shop/cart", "east", "Mirrored", "Mirrored"),
        ("shop/taken", "east", "Conflict", "NameTaken"),
    ]


def test_the_status_of_sources_in_trouble(mesh: Mesh) -> None:
    east, north = mesh.join("east"), mesh.join("north")
    patience = Patience(stale_after=30, remove_after=300)
    limits = Limits(least=2)
    west = joined(
        mesh, Policy(limits=limits), ("east", SourceSettings("east", patience=patience)), "north"
    )
    export(east, "shop/cart")
    for number in range(3):
        export(north, f"shop/n{number}")
    mesh.advance(STARTING + 2)
    assert east.emitter is not None
    east.emitter.silence()
    north.stop()
    for number in range(3):
        north.cluster.delete(SERVICES, f"shop/n{number}")
    north.start()
    mesh.advance(100)
    first, second = administration(west).status()["sources"]
    assert (first["state"], first["code"]) == ("Stale", "Stale")
    assert first["reason"].startswith("silent for ")
    assert first["mirrors"] == {"Stale": 1}
    assert (second["state"], second["code"]) == ("Synced", "Held")
    assert second["held"] == 3
    assert 0 < second["held_until_seconds"] <= 300
    assert second["mirrors"] == {"Held": 3}
    mesh.advance(250)
    first, _ = administration(west).status()["sources"]
    assert (first["state"], first["code"]) == ("Removed", "Withdrawn")
    east.emitter.silence(False)
    west.use_sources("north")
    mesh.advance(1)
    *_, gone = administration(west).status()["sources"]
    assert (gone["name"], gone["state"], gone["mirrors"]) == ("east", "Gone", {"Orphaned": 1})
    assert gone["code"] == "Orphaned"


def test_a_source_that_fails_tells_why(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = joined(mesh, Policy(), "east")
    mesh.advance(2)
    assert east.emitter is not None
    east.emitter.refuse()
    east.emitter.cut()
    mesh.advance(30)
    (told,) = administration(west).status()["sources"]
    assert (told["state"], told["code"]) == ("Failing", "Unreachable")
    assert told["reason"].startswith("services: ")
    assert "refuses" in told["reason"]
    east.emitter.refuse(False)
    mesh.advance(31)
    (told,) = administration(west).status()["sources"]
    assert (told["state"], told["code"], told["reason"]) == ("Synced", "", "")


def test_a_mirror_explained(mesh: Mesh) -> None:
    east, north = mesh.join("east"), mesh.join("north")
    for node in (east, north):
        export(node, "shop/cart")
    west = joined(mesh, Policy(), "east", "north")
    mesh.advance(STARTING + 2)
    east.cluster.put(ENDPOINTS, endpoints("shop/cart", ["10.9.0.2"]))
    mesh.advance(1)
    told = administration(west).explain("shop/cart")
    assert told["owner"] == "east"
    assert told["verdict"] == "it is the mirror of 'east'"
    assert told["host"]["service"] == "mirror"
    assert told["host"]["source"] == "east"
    assert told["host"]["cluster_ip"].startswith("10.96.")
    assert [(c["source"], c["state"]) for c in told["claims"]] == [
        ("east", "Mirrored"),
        ("north", "Standby"),
    ]
    assert told["next"] == []
    changes = [change["what"] for change in told["changes"]]
    assert "create Service shop/cart" in changes
    assert "update Endpoints shop/cart" in changes
    assert told["changes"][0]["time"].startswith("2026-01-01T00:00:")
    assert told["delays"]
    assert all(0 <= delay < 1 for delay in told["delays"])


def test_what_is_not_mirrored_explained(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = joined(mesh, Policy(denied_namespaces=("secret",)), "east")
    export(east, "shop/taken")
    export(east, "secret/cart")
    west.cluster.put(SERVICES, service("shop/taken"))
    mesh.advance(2)
    ask = administration(west).explain
    taken = ask("shop/taken")
    assert taken["verdict"].endswith("exists and was not created by service-reflector")
    assert taken["host"]["service"] == "foreign"
    assert taken["owner"] is None
    (claim,) = ask("secret/cart")["claims"]
    assert (claim["state"], claim["code"]) == ("Refused", "NamespaceRefused")
    assert "denied" in claim["reason"]
    nothing = ask("shop/nothing")
    assert (nothing["claims"], nothing["host"]["service"]) == ([], "absent")


def test_a_name_may_be_the_sources(mesh: Mesh) -> None:
    """Who knows the Service there need not know what it is called here."""
    east = mesh.join("east")
    west = joined(mesh, Policy(naming=Naming(name="{name}-{source}")), "east")
    export(east, "shop/cart")
    mesh.advance(2)
    told = administration(west).explain("shop/cart")
    assert told["key"] == "shop/cart-east"
    assert told["claims"][0]["source_key"] == "shop/cart"
    assert told["host"]["source_key"] == "shop/cart"
    (mirror,) = administration(west).status()["mirrors"]
    assert (mirror["key"], mirror["source_key"]) == ("shop/cart-east", "shop/cart")


def test_release_and_forget_say_what_they_do(mesh: Mesh) -> None:
    east = mesh.join("east")
    west = joined(mesh, Policy(), "east")
    export(east, "shop/cart")
    mesh.advance(2)
    tell = administration(west)
    assert tell.release("east") == "no deletions of source 'east' are held"
    with pytest.raises(ValueError, match="there is: 'east'"):
        tell.release("west")
    with pytest.raises(ValueError, match="remove it first"):
        tell.forget("east")
    assert tell.forget("west") == "there are no mirrors of source 'west'"
    west.use_sources()
    assert tell.forget("east") == "mirrors of source 'east' that are deleted, or taken over: 1"


def test_without_a_reflector_there_is_little_to_tell(mesh: Mesh) -> None:
    node = mesh.join("east", roles=Roles(emitted=LabelSelector(), reflected=None))
    mesh.advance(2)
    status = administration(node).status()
    assert (status["sources"], status["mirrors"]) == ([], [])
    with pytest.raises(ValueError, match="no Reflector"):
        administration(node).explain("shop/cart")


def test_the_journal_is_bounded() -> None:
    journal = Journal()
    for number in range(NAMES + 10):
        for when in range(ENTRIES + 5):
            journal.note(f"a/{number}", when, str(when))
            journal.delayed(f"a/{number}", when)
    last = f"a/{NAMES + 9}"
    assert [what for _, what in journal.changes(last)] == [str(n) for n in range(5, ENTRIES + 5)]
    assert len(journal.delays(last)) == ENTRIES
    assert journal.changes("a/0") == journal.delays("a/9") == ()
    assert journal.changes("a/10")
