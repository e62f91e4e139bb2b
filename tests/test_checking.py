"""What ``service-reflector check`` concludes from answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from rights import Right, documents, granted, of_kind
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from servicereflector.checking import permissions, servers
from servicereflector.checking.asking import reach
from servicereflector.checking.findings import Finding, Found, Result, count_of, in_lines
from servicereflector.checking.mirrors import (
    MOST,
    judge_names,
    judge_overlaps,
    judge_reached,
    judge_refused,
)
from servicereflector.checking.permissions import Need, needs
from servicereflector.client.connection import ConfigError
from servicereflector.client.errors import BadAnswer, RequestTimedOut, TlsFailed, TransportError
from servicereflector.kube.objects import BadObject, Json, Record
from servicereflector.kube.status import ApiError
from servicereflector.mirror.plan import Plan
from servicereflector.mirror.states import State, Status
from servicereflector.options import ReflectorOptions
from servicereflector.reasons import Code
from servicereflector.testing.processes import free_port

DOCUMENT = Path(__file__).parents[1] / "docs" / "check.md"


def options(*arguments: str) -> ReflectorOptions:
    found = ReflectorOptions()
    found.parseOptions(list(arguments))
    return found


def arguments_of(manifest: str) -> list[str]:
    (deployment,) = of_kind(documents(manifest), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


# Permissions


@pytest.mark.parametrize(
    ("manifest", "more", "flags"),
    [
        ("service-reflector.yaml", (), ()),
        ("emitter.yaml", (), ()),
        ("reflector.yaml", (), ()),
        ("one-namespace.yaml", (), ()),
        ("service-reflector.yaml", ("delete-namespaces.yaml",), ("--reflector.delete-namespaces",)),
        (
            "emitter.yaml",
            ("webhook.yaml",),
            ("--emitter.authentication=webhook", "--emitter.authorization=webhook"),
        ),
    ],
)
def test_what_is_asked_for_is_what_the_manifests_grant(
    manifest: str, more: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    """No less and no more, with the flags of the Deployment; and the manifest is named rightly."""
    asked = list(needs(options(*arguments_of(manifest), *flags)))
    assert len(asked) == len(set(asked))
    for name in (manifest, *more):
        of_manifest = {
            Right(need.group, need.resource, need.verb)
            for need in asked
            if need.manifest == f"manifests/{name}"
        }
        assert of_manifest == granted(documents(name))


def test_names_and_namespaces_are_those_of_the_roles() -> None:
    """Of one namespace, and of the Lease."""
    asked = {str(need): need for need in needs(options(*arguments_of("one-namespace.yaml")), "own")}
    assert asked["list services"].namespace == "shop"
    assert (asked["list namespaces 'shop'"].namespace, "create namespaces" in asked) == ("", False)
    lease = asked["update leases.coordination.k8s.io 'service-reflector'"]
    assert lease.namespace == "own"


def test_a_review_asks_for_one_thing() -> None:
    """Without what is not said."""
    need = Need("get", "coordination.k8s.io", "leases", "own", "it", "m")
    assert need.review()["spec"]["resourceAttributes"] == {
        "verb": "get",
        "group": "coordination.k8s.io",
        "resource": "leases",
        "namespace": "own",
        "name": "it",
    }
    everywhere = Need("list", "", "services").review()["spec"]["resourceAttributes"]
    assert everywhere == {"verb": "list", "resource": "services"}


def test_what_is_missing_is_told_by_the_manifest_that_grants_it() -> None:
    """A line for each manifest and namespace."""
    one, two = Need("list", "", "services", manifest="a"), Need("list", "", "pods", manifest="b")
    three = Need("watch", "", "services", manifest="a")
    found = list(permissions.judge({one: False, two: False, three: False}))
    assert [(f.code, f.message) for f in found] == [
        (Found.NOT_PERMITTED, "may not, in all namespaces: list services, watch services"),
        (Found.NOT_PERMITTED, "may not, in all namespaces: list pods"),
    ]
    (fine,) = permissions.judge({one: True, two: True})
    assert fine.code is Found.PERMITTED


# Servers


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransportError("refused"), Found.UNREACHABLE),
        (RequestTimedOut("no answer"), Found.UNREACHABLE),
        (TlsFailed("unknown authority"), Found.TLS_FAILED),
        (ConfigError("no such file"), Found.CREDENTIALS_UNUSABLE),
        (ApiError(401, "who?"), Found.UNAUTHORIZED),
        (ApiError(403, "no"), Found.FORBIDDEN),
        (ApiError(404, "no"), Found.BAD_ANSWER),
        (BadAnswer("a page"), Found.BAD_ANSWER),
        (BadObject("a page"), Found.BAD_ANSWER),
    ],
)
@pytest.mark.parametrize("subject", ["host", "east"])
def test_each_error_has_its_code_and_what_helps(
    subject: str, error: Exception, code: Found
) -> None:
    """Of the host and of a source."""
    found = servers.judge_error(subject, error)
    assert (found.subject, found.result, found.code) == (subject, Result.FAIL, code)
    assert str(error) in found.message
    assert found.remedy


@given(st.floats(-60, 60), st.floats(0, 3), st.floats(0, 1), st.floats(1000, 1001))
def test_a_clock_is_judged_by_no_more_than_is_known(
    ahead: float, there: float, back: float, asked: float
) -> None:
    """Whole seconds, told at some moment between the question and the answer."""
    told = float(int(asked + there + ahead))
    found = servers.judge_clock("east", told, asked, asked + there + back)
    if found.code is Found.CLOCK_SKEW:
        assert abs(ahead) > servers.SKEW
        assert ("ahead of" in found.message) is (ahead > 0)
    else:
        assert found.code is Found.IN_TIME
        assert abs(ahead) <= servers.SKEW + there + back + 1


def test_a_server_without_a_clock_is_a_warning() -> None:
    """Nothing can be said."""
    assert servers.judge_clock("east", None, 0, 1).code is Found.NO_CLOCK


def test_what_follows_from_missing_slices_is_told() -> None:
    """Of the host it is another thing than of a source."""
    assert "mirrors will have Endpoints only" in servers.judge_slices("host", False).message
    assert "are read in their place" in servers.judge_slices("east", False).message
    assert servers.judge_slices("east", True).code is Found.SERVES_SLICES


# Mirrors


def plan(**states: Status) -> Plan:
    return Plan((), states, owner=next(iter(states), ""))


def test_names_that_are_taken_or_shared_are_told() -> None:
    """Each with whose it is; of very many the first, and how many there are."""
    plans = {
        "shop/a": plan(
            east=Status(State.MIRRORED, Code.MIRRORED),
            west=Status(State.STANDBY, Code.STANDBY, "no"),
        )
    }
    plans |= {
        f"shop/n{n:02}": plan(east=Status(State.CONFLICT, Code.NAME_TAKEN, "taken"))
        for n in range(MOST + 5)
    }
    taken, shared = judge_names(plans)
    assert (taken.code, shared.code) == (Found.NAME_TAKEN, Found.NAME_SHARED)
    assert taken.message.startswith(f"{MOST + 5} Services cannot be mirrored: shop/n00 of east: ")
    assert taken.message.endswith("; and 5 more")
    assert "shop/a of west (mirrored of east)" in shared.message


def test_where_each_name_is_wanted_once_all_is_well() -> None:
    """And the names are counted."""
    (found,) = judge_names({"shop/a": plan(east=Status(State.MIRRORED, Code.MIRRORED))})
    assert (found.result, found.code) == (Result.OK, Found.NO_CONFLICTS)


def test_what_a_source_may_not_have_mirrored_is_told() -> None:
    """Addresses that are left out, and Services that are refused whole."""
    plans = {
        "shop/a": plan(
            east=Status(State.MIRRORED, Code.ADDRESS_REFUSED, "10.0.0.1 is the host's", refused=1)
        ),
        "shop/b": plan(east=Status(State.REFUSED, Code.PORT_REFUSED, "port 22")),
        "shop/c": plan(east=Status(State.MIRRORED, Code.MIRRORED)),
    }
    (found,) = judge_refused("east", plans)
    assert (found.subject, found.code) == ("east", Found.ADDRESS_REFUSED)
    assert "shop/a: 10.0.0.1 is the host's; shop/b: port 22" in found.message
    assert list(judge_refused("west", plans)) == []


addresses = st.dictionaries(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]), st.just("a/b"))


@given(st.dictionaries(st.sampled_from(["host", "east", "west"]), addresses))
def test_an_address_of_two_clusters_is_told(clusters: dict[str, dict[str, str]]) -> None:
    """Of each pair of clusters; and nothing else is."""
    found = list(judge_overlaps(clusters))
    names = list(clusters)
    pairs = [
        (one, other)
        for number, one in enumerate(names)
        for other in names[number + 1 :]
        if clusters[one].keys() & clusters[other].keys()
    ]
    if not pairs:
        assert [f.code for f in found] == [Found.ADDRESSES_APART]
        return
    assert [(f.code, f.subject) for f in found] == [
        (Found.ADDRESSES_OVERLAP, other) for _, other in pairs
    ]


def test_endpoints_that_cannot_be_reached_are_told() -> None:
    """With the reason of each; nothing where nothing was tried."""
    (found,) = judge_reached("east", {"10.0.0.1:80": "", "10.0.0.2:80": "no route"})
    assert (found.result, found.code) == (Result.WARN, Found.PODS_NOT_REACHED)
    assert "1 of 2" in found.message
    assert "10.0.0.2:80: no route" in found.message
    (fine,) = judge_reached("east", {"10.0.0.1:80": ""})
    assert fine.code is Found.PODS_REACHED
    assert list(judge_reached("east", {})) == []


@pytest_twisted.ensureDeferred
async def test_a_few_endpoints_are_tried() -> None:
    """By a connection to each, which is closed again."""
    port: Any = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    open_port, closed_port = port.getHost().port, free_port()
    subsets: list[Json] = [
        {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": number}]}
        for number in (open_port, closed_port)
    ]
    subsets.append({"notReadyAddresses": [{"ip": "127.0.0.2"}], "ports": [{"port": 1}]})
    subsets.append({"addresses": [{"ip": "127.0.0.3"}], "ports": [{"port": 1, "protocol": "UDP"}]})
    body = orjson.dumps({"metadata": {}, "subsets": subsets})
    try:
        tried = await reach(reactor, [Record("shop", "a", "", 1, body)])
    finally:
        await port.stopListening()
    assert tried.keys() == {f"127.0.0.1:{open_port}", f"127.0.0.1:{closed_port}"}
    assert tried[f"127.0.0.1:{open_port}"] == ""
    assert "refused" in tried[f"127.0.0.1:{closed_port}"]


# What is printed


@given(st.text(), st.text())
def test_a_finding_is_one_printable_line(message: str, remedy: str) -> None:
    """Whatever a server said; and the last line counts."""
    finding = Finding("east", Result.WARN, Found.CLOCK_SKEW, message, remedy)
    line, last = in_lines([finding])
    assert line.isprintable()
    assert line.startswith("warn  east: ")
    assert last == "0 ok, 1 warn, 0 fail. Nothing was written."


def test_one_is_one() -> None:
    """And an address is no addres."""
    assert [count_of(1, "address"), count_of(2, "address"), count_of(0, "Service")] == [
        "1 address",
        "2 addresses",
        "0 Services",
    ]


def test_every_code_is_documented() -> None:
    """And no other."""
    rows = re.findall(r"^\| (`.*?`) \|", DOCUMENT.read_text(), re.M)
    documented = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert sorted(documented) == sorted(code.value for code in Found)
