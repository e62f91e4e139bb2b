"""What operators look at: logs, health, metrics; and the sockets that these are served on."""

from __future__ import annotations

import errno
import io
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from klein import Klein
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import IResource

from servicereflector.election.service import Candidacy, LeaderElection
from servicereflector.emitter.bounds import ReadLimits, Reads
from servicereflector.emitter.clients import Bound
from servicereflector.emitter.refusals import Refusals
from servicereflector.emitter.streams import StreamStats
from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES
from servicereflector.kube.strangers import Rejected
from servicereflector.listwatch.informer import Informer
from servicereflector.mirror.states import State, Status
from servicereflector.ops.health import Check, HealthApi
from servicereflector.ops.logs import make_observer
from servicereflector.ops.metrics import ProgramCollector, make_registry
from servicereflector.ops.sockets import CLOSE_TIMEOUT, BindError, SocketService, bind
from servicereflector.ops.turns import BUCKETS, QUIET, REMEMBERED, Turns, measure
from servicereflector.reasons import Code
from servicereflector.reflector.comparison import Comparison
from servicereflector.reflector.controller import Controller
from servicereflector.reflector.delays import BOUNDS
from servicereflector.reflector.host import Host
from servicereflector.reflector.slices import Slices
from servicereflector.reflector.sources import Source
from servicereflector.store.versioned import Store

success = SynchronousTestCase().successResultOf

# Logs.

LEVELS = ("debug", "info", "warn", "error", "critical")


def logged(
    level: str,
    log_format: str,
    emit: Callable[[Logger], None],
    *,
    namespace: str = "servicereflector.reflector.controller",
    stream: io.StringIO | None = None,
) -> str:
    """What is written of what ``emit`` logs."""
    stream = stream or io.StringIO()
    emit(Logger(namespace, observer=make_observer(level, log_format, stream)))
    return stream.getvalue()


def every_level(logger: Logger) -> None:
    for name in LEVELS:
        logger.emit(LogLevel.lookupByName(name), "told")


@pytest.mark.parametrize(
    ("level", "namespace", "first"),
    [
        ("all", "servicereflector.x", "debug"),
        ("debug", "servicereflector.x", "debug"),
        ("info", "servicereflector.x", "info"),
        ("warn", "servicereflector.x", "warn"),
        ("error", "servicereflector.x", "error"),
        ("all", "twisted.web.server", "debug"),
        ("debug", "twisted.web.server", "warn"),
        ("info", "twisted.web.server", "warn"),
        ("info", "log_legacy", "warn"),
        ("info", "servicereflector.ops.channels.Channel", "warn"),
        ("error", "twisted.web.server", "error"),
    ],
)
def test_a_level_shows_itself_and_what_is_worse(level: str, namespace: str, first: str) -> None:
    """Of Twisted's own events warnings only, except under ``all``."""
    lines = logged(level, "json", every_level, namespace=namespace).splitlines()
    assert [json.loads(line)["level"] for line in lines] == list(LEVELS[LEVELS.index(first) :])


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_none_shows_nothing(log_format: str) -> None:
    """Not even what is critical."""
    assert logged("none", log_format, every_level) == ""


def test_json_has_its_members() -> None:
    """The time in UTC, the logger without the package's name, the message formatted."""
    line = logged(
        "info", "json", lambda logger: logger.warn("{key} is {state}", key="a/b", state=1)
    )
    document = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("ts"))
    assert document == {
        "level": "warn",
        "logger": "reflector.controller",
        "msg": "a/b is 1",
        "key": "a/b",
        "state": 1,
    }


def test_text_has_time_level_and_message() -> None:
    """In one line."""
    line = logged("info", "text", lambda logger: logger.info("all is well"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  all is well\n", line)


def failing(logger: Logger) -> None:
    logger.failure("it broke", failure=Failure(RuntimeError("because")))


def test_a_trace_is_a_member_of_the_json() -> None:
    """The message stays one line; nothing else of the failure is there."""
    (line,) = logged("info", "json", failing).splitlines()
    document = json.loads(line)
    assert document["msg"] == "it broke"
    assert "RuntimeError: because" in document["trace"]
    assert document.keys() == {"ts", "level", "logger", "msg", "trace"}


def test_a_trace_stands_below_the_text() -> None:
    """As Python shows it."""
    first, *trace = logged("info", "text", failing).splitlines()
    assert first.endswith("CRITICAL it broke")
    assert trace[0].startswith("  Traceback")
    assert trace[-1].endswith("because")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)])
def test_the_format_goes_by_the_stream(stream: io.StringIO, is_json: bool) -> None:
    """Text for a terminal, JSON elsewhere."""
    line = logged("info", "", lambda logger: logger.info("told"), stream=stream)
    assert line.startswith("{") is is_json


@given(st.sampled_from(["json", "text"]), st.text(st.characters(exclude_categories=())))
def test_whatever_a_server_says_is_one_line(log_format: str, said: str) -> None:
    """Line ends, terminal codes, lone surrogates: none of them can forge a line."""
    line = logged("info", log_format, lambda logger: logger.info("it said {said}", said=said))
    assert line[:-1].isprintable()
    assert line.endswith("\n")
    line.encode()
    if log_format == "json":
        assert json.loads(line)["msg"].startswith("it said ")


def test_printable_text_is_kept_as_it_is() -> None:
    """Of whatever script."""
    line = logged("info", "json", lambda logger: logger.info("grüße 世界"))
    assert json.loads(line)["msg"] == "grüße 世界"


# Health.


class Health:
    """The health API, asked in memory."""

    def __init__(self, **problems: str) -> None:
        self.problems = problems
        checks = [Check(name, lambda name=name: self.problems[name]) for name in problems]
        self.treq = StubTreq(HealthApi(checks, CollectorRegistry()).app.resource())

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        answer = success(self.treq.get(f"http://it{path}", headers=headers))
        self.content_type = answer.headers.getRawHeaders("content-type")[0]
        return answer.code, success(answer.text())


@pytest.mark.parametrize("name", ["health", "healthz", "livez"])
def test_a_process_that_answers_is_alive(name: str) -> None:
    """Whatever it cannot do yet."""
    health = Health(program="not yet")
    assert health.get(f"/{name}") == (200, "ok")
    assert health.get(f"/{name}?verbose") == (200, f"[+]ping ok\n{name} check passed\n")


def test_without_problems_it_is_ready() -> None:
    """Shortly."""
    assert Health(one="", two="").get("/readyz") == (200, "ok")


@pytest.mark.parametrize("query", ["verbose", "verbose=", "verbose=1", "x=1&verbose"])
def test_verbose_readiness_lists_the_checks(query: str) -> None:
    """In any spelling that kube-apiserver takes."""
    assert Health(one="", two="").get(f"/readyz?{query}") == (
        200,
        "[+]one ok\n[+]two ok\nreadyz check passed\n",
    )


@pytest.mark.parametrize("path", ["/readyz", "/readyz?verbose"])
def test_a_problem_is_told_with_503(path: str) -> None:
    """The others beside it."""
    assert Health(one="", two="no list yet").get(path) == (
        503,
        "[+]one ok\n[-]two failed: no list yet\nreadyz check failed\n",
    )


def test_readiness_comes_and_goes() -> None:
    """It is looked at anew each time."""
    health = Health(one="no")
    assert health.get("/readyz")[0] == 503
    health.problems["one"] = ""
    assert health.get("/readyz")[0] == 200


def test_health_is_plain_text() -> None:
    """That no browser takes for something else."""
    health = Health()
    health.get("/livez")
    assert health.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_metrics_come_in_the_format_that_is_asked_for(accept: str, content_type: str) -> None:
    """The classic one by default."""
    health = Health()
    assert health.get("/metrics", accept=accept)[0] == 200
    assert health.content_type.startswith(content_type)


# Metrics.


class Parts:
    """The parts that metrics are read off, none of them running."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.informers = [
            self._informer("host", SERVICES),
            self._informer("east", SERVICES),
            self._informer("east", ENDPOINTS),
        ]
        self.turns = Turns()
        self.streams = StreamStats(watchers=3, bytes_sent=4096, slow=1)
        nobody: Any = None
        host = Host(nobody, nobody, Store(NAMESPACES), Store(SERVICES), Store(ENDPOINTS))
        sources = [
            Source(name, Store(SERVICES), Store(ENDPOINTS), Slices()) for name in ("east", "north")
        ]
        self.controller = Controller(self.clock, host, sources, features=lambda: None)
        self.comparison = Comparison(
            self.clock,
            self.controller,
            lambda: (),
            writes=lambda: True,
            period=600,
            random=lambda: 0.5,
        )

    def _informer(self, source: str, resource: Any) -> Informer:
        nobody: Any = None
        return Informer(self.clock, nobody, Store(resource), random=lambda: 0.5, source=source)

    def families(self) -> dict[str, Metric]:
        collector = ProgramCollector(
            self.clock,
            self.informers,
            self.streams,
            self.controller,
            self.comparison,
            turns=self.turns,
        )
        return {family.name: family for family in collector.collect()}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """By the labels' values, in the order of their names."""
        name = f"service_reflector_{name}"
        (family,) = (f for f in self.families().values() if name in {s.name for s in f.samples})
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("lists", "lists_total"),
        ("watches", "watches_total"),
        ("events", "watch_events_total"),
        ("bookmarks", "bookmarks_total"),
        ("bad_objects", "bad_objects_total"),
        ("restored", "restores_total"),
        ("troubles", "reconnects_total"),
    ],
)
def test_what_informers_did_is_by_resource_and_source(parts: Parts, member: str, name: str) -> None:
    """Each of their counts under its own name."""
    setattr(parts.informers[1].stats, member, 7)
    assert parts.values(name) == {
        ("services", "host"): 0,
        ("services", "east"): 7,
        ("endpoints", "east"): 0,
    }


def test_rejections_are_counted_by_reason(parts: Parts) -> None:
    """How many there were, and how many there are."""
    rejections = parts.informers[1].rejections
    for version in ("1", "2"):
        rejections.note(Rejected("ports", version, "shop/cart", "shop/cart"))
    assert parts.values("rejections_total") == {("ports", "services", "east"): 2}
    assert parts.values("rejected_objects")["services", "east"] == 1


def test_the_age_of_the_last_event_grows(parts: Parts) -> None:
    """Where there was none, there is no age."""
    parts.informers[1].stats.heard_at = parts.clock.seconds()
    parts.clock.advance(12)
    assert parts.values("last_event_age_seconds") == {("services", "east"): 12}


def test_a_connection_is_one_or_zero(parts: Parts) -> None:
    """By resource and source."""
    parts.informers[0].stats.connected = True
    assert parts.values("connected")["services", "host"] == 1
    assert parts.values("connected")["services", "east"] == 0


def test_the_go_programs_names_are_kept(parts: Parts) -> None:
    """Its dashboards and alerts go on working."""
    parts.controller.stats.attempts, parts.controller.stats.errors = 5, 2
    assert parts.values("reconcile_attempts_total") == {(): 5}
    assert parts.values("reconcile_errors_total") == {(): 2}


def test_mirrored_services_are_by_source_and_state(parts: Parts) -> None:
    """Every state of every source is there, or an alert could not tell zero from gone."""
    parts.controller.statuses.note("a/b", {"east": Status(State.MIRRORED, Code.MIRRORED)})
    parts.controller.statuses.note(
        "a/c", {"east": Status(State.CONFLICT, Code.NAME_TAKEN, "taken")}
    )
    values = parts.values("mirrored_services")
    assert values.keys() == {(source, s.value) for source in ("east", "north") for s in State}
    assert {labels for labels, value in values.items() if value} == {
        ("east", "Mirrored"),
        ("east", "Conflict"),
    }


def test_mirrors_of_a_source_that_is_gone_are_counted(parts: Parts) -> None:
    """Under its name."""
    parts.controller.statuses.note("a/b", {"gone": Status(State.ORPHANED, Code.ORPHANED)})
    assert parts.values("mirrored_services")["gone", "Orphaned"] == 1


def test_watchers_and_bytes_are_those_of_the_emitter(parts: Parts) -> None:
    """And the watchers that did not read."""
    assert parts.values("emitter_watchers") == {(): 3}
    assert parts.values("emitter_sent_bytes_total") == {(): 4096}
    assert parts.values("emitter_slow_watchers_total") == {(): 1}


def test_the_comparison_tells_what_it_did(parts: Parts) -> None:
    """Every kind of difference is there from the start, for alerts."""
    stats = parts.comparison.stats
    assert parts.values("comparison_differences_total") == {("plan",): 0, ("store",): 0}
    stats.rounds, stats.duration, stats.longest_slice = 3, 1.5, 0.02
    stats.compared["plan"], stats.differences["store"] = 7, 2
    assert parts.values("comparison_rounds_total") == {(): 3}
    assert parts.values("comparison_compared_total") == {("plan",): 7, ("store",): 0}
    assert parts.values("comparison_differences_total") == {("plan",): 0, ("store",): 2}
    assert parts.values("comparison_duration_seconds") == {(): 1.5}
    assert parts.values("comparison_longest_slice_seconds") == {(): 0.02}


def test_delays_are_histograms_by_source(parts: Parts) -> None:
    """Each bucket with those before it."""
    for seconds in (0.002, 0.002, 700.0):
        parts.controller.delays.observe("east", seconds, 5.0)
    parts.controller.delays.observe_programming("east", -3.0)
    buckets = parts.values("propagation_seconds_bucket")
    assert {k: v for k, v in buckets.items() if v} == {
        **{(str(bound), "east"): 2 for bound in BOUNDS if bound > 0.002},
        ("+Inf", "east"): 3,
    }
    assert parts.values("propagation_seconds_sum") == {("east",): 700.004}
    assert parts.values("network_programming_seconds_count") == {("east",): 1}
    assert parts.values("early_changes_total") == {("east",): 1}


def test_what_waits_is_told_with_its_age(parts: Parts) -> None:
    """Of each source, also where nothing does."""
    arrivals = parts.controller._feed.arrivals
    arrivals.note("east", "shop/a", 900.0, endpoints=True)
    arrivals.note("east", "shop/b", 990.0, endpoints=True)
    assert parts.values("waiting_changes") == {("east",): 2, ("north",): 0}
    assert parts.values("oldest_waiting_change_seconds") == {("east",): 100, ("north",): 0}


def test_what_a_list_brought_waits_too(parts: Parts) -> None:
    """Of the lane of its source, whatever its events told."""
    parts.controller.queue.add(["shop/a", "shop/b"], "north")
    parts.clock.advance(30)
    assert parts.values("lane_length") == {("east",): 0, ("north",): 2}
    assert parts.values("oldest_waiting_change_seconds") == {("east",): 0, ("north",): 30}


def test_how_close_to_a_limit_is_told_where_there_is_one(parts: Parts) -> None:
    """Of the Emitter's clients together, and of each source."""
    reads = Reads(parts.clock, ReadLimits(watches=Bound(4)), Refusals(parts.clock.seconds))
    reads.watches.take("a")
    collector = ProgramCollector(
        parts.clock,
        [],
        parts.streams,
        parts.controller,
        reads=reads,
        quotas=lambda: {"east": {"bytes": 0.5, "services": 0.25}},
    )
    told = {family.name: family.samples for family in collector.collect()}
    assert [(s.labels, s.value) for s in told["service_reflector_emitter_limit_used_ratio"]] == [
        ({"limit": "watches"}, 0.25)
    ]
    assert [(s.labels, s.value) for s in told["service_reflector_source_quota_used_ratio"]] == [
        ({"source": "east", "quota": "bytes"}, 0.5),
        ({"source": "east", "quota": "services"}, 0.25),
    ]


def test_a_role_that_is_off_has_no_metrics(parts: Parts) -> None:
    """Rather than zeros."""
    names = [family.name for family in ProgramCollector(parts.clock, [], None, None).collect()]
    assert not [n for n in names if "emitter" in n or "reconcile" in n or "reactor" in n]


def test_metrics_are_named_as_prometheus_wants_it(parts: Parts) -> None:
    """A prefix, snake_case, counters (and only they) in _total, base units; each with its help."""
    for family in parts.families().values():
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            if family.type == "histogram":
                assert re.fullmatch(rf"{family.name}_(bucket|count|sum)", sample.name)
                assert re.fullmatch(r"service_reflector(_[a-z]+)+_seconds", family.name)
                continue
            assert re.fullmatch(r"service_reflector(_[a-z]+)+", sample.name)
            assert sample.name.endswith("_total") is (family.type == "counter")
            assert not re.search(
                r"_(ms|millis|milliseconds|minutes|kb|mb|count|sum)(_|$)", sample.name
            )
            assert sample.labels.keys() <= {
                *("source", "resource", "state", "operation", "version", "kind", "quota", "limit")
            }


def test_who_leads_is_told_by_kubernetes_own_name(parts: Parts) -> None:
    """Where there is an election."""
    nobody: Any = None
    election = LeaderElection(
        parts.clock,
        nobody,
        Candidacy("me", name="it"),
        epoch=lambda: 0.0,
        started=lambda: None,
        stopped=lambda: None,
    )
    collector = ProgramCollector(parts.clock, [], None, None, election=election)
    (family,) = (f for f in collector.collect() if f.name == "leader_election_master_status")
    assert [(s.labels, s.value) for s in family.samples] == [({"name": "it"}, 0.0)]
    assert "leader_election_master_status" not in parts.families()


def test_the_registry_has_the_processs_own_metrics(parts: Parts) -> None:
    """Beside the program's, each name once."""
    collector = ProgramCollector(parts.clock, parts.informers, parts.streams, parts.controller)
    names = [family.name for family in make_registry(collector).collect()]
    assert len(names) == len(set(names))
    assert {"process_cpu_seconds", "python_info", "service_reflector_lists"} <= set(names)


# Turns of the reactor.


class Turning:
    """Turns in made time."""

    def __init__(self) -> None:
        self.now = self.cpu = 100.0
        self.turns = Turns(lambda: self.now, lambda: self.cpu)
        self.lines: list[str] = []
        self.turns.log = Logger(observer=lambda event: self.lines.append(formatEvent(event)))

    def turn(self, took: float, computed: float = 0.0, *, after: float = 0.0) -> None:
        self.now += after
        self.turns.begin()
        self.now += took
        self.cpu += computed
        self.turns.end()


@pytest.fixture
def turning() -> Turning:
    return Turning()


def test_what_comes_between_two_polls_is_a_turn(turning: Turning, parts: Parts) -> None:
    """And the wait is none; nor is what comes before the first poll."""
    turning.turns.end()
    turning.turn(0.0625, after=7)
    turning.turn(0.25, after=7)
    turning.turn(2.0, after=7)
    parts.turns = turning.turns
    assert parts.values("reactor_turn_seconds_sum") == {(): 2.3125}
    assert parts.values("reactor_turn_seconds_count") == {(): 3}
    buckets = parts.values("reactor_turn_seconds_bucket")
    assert set(buckets) == {(str(bound),) for bound in BUCKETS} | {("+Inf",)}
    assert [buckets[le,] for le in ("0.05", "0.1", "0.25", "1.0", "+Inf")] == [0, 1, 2, 2, 3]


def test_the_longest_turn_is_remembered_for_minutes(turning: Turning, parts: Parts) -> None:
    """By either clock, whoever asks, and no longer."""
    parts.turns = turning.turns
    assert parts.values("reactor_longest_turn_seconds") == {(): 0}
    turning.turn(0.5, 0.125)
    turning.turn(0.25, 0.25, after=60)
    for _ in range(2):
        assert parts.values("reactor_longest_turn_seconds") == {(): 0.5}
        assert parts.values("reactor_longest_turn_cpu_seconds") == {(): 0.25}
    turning.now += REMEMBERED - 60
    assert parts.values("reactor_longest_turn_seconds") == {(): 0.25}
    turning.now += REMEMBERED
    assert parts.values("reactor_longest_turn_seconds") == {(): 0}


def test_long_turns_are_told_once_a_minute(turning: Turning) -> None:
    """The first at once, those between with the next; what is short never."""
    turning.turn(0.1, after=1)
    assert turning.lines == []
    turning.turn(0.2, 0.15)
    told = "the reactor did nothing else for 0.200 s, 0.150 s of it computing"
    assert turning.lines == [told]
    turning.turn(0.3, after=1)
    turning.turn(0.4, after=1)
    assert turning.lines == [told]
    turning.turn(0.2, 0.15, after=QUIET)
    turning.turn(0.2, 0.15, after=QUIET)
    assert turning.lines == [told, f"{told}; 2 more before, of 0.400 s at most", told]


def test_a_reactor_without_epoll_is_not_measured() -> None:
    """And left as it is."""
    assert measure(Clock()) is None
    assert measure(SelectReactor()) is None


def test_an_epoll_reactor_is_measured_once() -> None:
    """The turn of a busy call is as long as the call."""
    epollreactor = pytest.importorskip("twisted.internet.epollreactor")
    reactor = epollreactor.EPollReactor()
    turns = measure(reactor)
    assert turns is not None
    assert measure(reactor) is turns
    now = 0.0
    turns._elapsed = lambda: now

    def busy() -> None:
        nonlocal now
        now += 0.5

    for _ in range(2):
        reactor.callLater(0, busy)
        reactor.doIteration(0)
        reactor.runUntilCurrent()
    reactor.doIteration(0)
    assert turns.total == 1.0
    assert turns.counts[BUCKETS.index(0.5)] == 2
    for reader in reactor.removeAll():
        reader.connectionLost(Failure(ConnectionDone()))


# Sockets.


def test_port_zero_is_a_free_port() -> None:
    """Which the socket tells."""
    with closing(bind("127.0.0.1", 0)) as listening:
        assert listening.getsockname()[1] > 0


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_no_address_is_every_address_of_both_families(client: str) -> None:
    """Where the kernel has both."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this kernel has no IPv6")
    with closing(bind("", 0)) as listening:
        socket.create_connection((client, listening.getsockname()[1]), timeout=10).close()


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", r"\[::1\]"), ("", "")]
)
def test_a_port_in_use_is_named(host: str, shown: str) -> None:
    """With its address, in one line, in the system's words."""
    with closing(bind(host, 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(BindError, match=f"^cannot listen on {shown}:{port}: Address already"):
            bind(host, port)


@pytest.mark.parametrize(
    "host", ["no.such.invalid", "192.0.2.1", "fe80::1%none", "a" * 80, "é" * 70, "a..b", ":"]
)
def test_what_is_no_address_of_this_machine_is_named(host: str) -> None:
    """Names that have none and names that are none among them."""
    with pytest.raises(BindError) as raised:
        bind(host, 0)
    assert re.fullmatch(r"cannot listen on .+:0: .+", str(raised.value))
    assert "while attempting" not in str(raised.value)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_without_ipv6_every_address_is_of_one_family(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A kernel may know the family and still have it switched off."""
    create_server = socket.create_server

    def create(address: Any, *, family: int, **options: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, "no IPv6")
        return create_server(address, family=family, **options)

    monkeypatch.setattr(socket, "create_server", create)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    with closing(bind("", 0)) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


class Served:
    """A SocketService that runs, on a free port."""

    def __init__(self, resource: IResource) -> None:
        self.service = SocketService(reactor, bind("127.0.0.1", 0), resource)
        self.port = self.service.address.port
        self.service.startService()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


class Answers:
    """``/`` says hello; ``/open`` answers when the test says so; ``/large`` is more than fits."""

    app = Klein()

    def __init__(self) -> None:
        self.asked: Deferred[None] = Deferred()
        self.open: Deferred[bytes] = Deferred()

    @app.route("/")
    def hello(self, _request: Request) -> bytes:
        return b"hello"

    @app.route("/open")
    def later(self, _request: Request) -> Deferred[bytes]:
        self.asked.callback(None)
        return self.open

    @app.route("/large")
    def large(self, _request: Request) -> bytes:
        return bytes(64 * 1024 * 1024)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def served(answers: Answers) -> Iterator[Served]:
    served = Served(answers.app.resource())
    yield served
    if served.service.running:
        pytest_twisted.blockon(served.service.stopService())


#: Of an answer in chunks.
END = b"\r\n0\r\n\r\n"


def exchange(client: socket.socket, path: str, until: bytes = b"") -> bytes:
    """Ask, and read until the answer has ``until``, or the other end hangs up. Blocks."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    received = b""
    while not until or until not in received:
        more = client.recv(65536)
        if not more:
            break
        received += more
    return received


@pytest_twisted.ensureDeferred
async def test_a_service_serves_its_socket(served: Served) -> None:
    """Which was open before."""
    with served.connect() as client:
        assert b"hello" in await deferToThread(exchange, client, "/", b"hello")
    await served.service.stopService()


@pytest_twisted.ensureDeferred
async def test_a_stopped_service_takes_no_connections(served: Served) -> None:
    """The port is free for another."""
    await served.service.stopService()
    bind("127.0.0.1", served.port).close()
    with pytest.raises(ConnectionRefusedError):
        served.connect()


@pytest_twisted.ensureDeferred
async def test_stopping_closes_idle_connections(served: Served) -> None:
    """At once."""
    with served.connect() as client:
        await deferToThread(exchange, client, "/", END)
        await served.service.stopService()
        assert client.recv(1) == b""


@pytest_twisted.ensureDeferred
async def test_stopping_sends_what_ends_in_the_same_turn(served: Served, answers: Answers) -> None:
    """Before the connection is closed."""
    with served.connect() as client:
        asking = deferToThread(exchange, client, "/open")
        await answers.asked
        stopped = served.service.stopService()
        answers.open.callback(b"the end")
        await stopped
        assert (await asking).endswith(b"the end\r\n0\r\n\r\n")


@pytest_twisted.ensureDeferred
async def test_stopping_does_not_wait_long_for_a_client_that_does_not_read(served: Served) -> None:
    """Its connection is dropped."""
    with served.connect() as client:
        await deferToThread(exchange, client, "/large", b"HTTP/1.1 200 OK")
        stopped = served.service.stopService()
        await stopped.addTimeout(CLOSE_TIMEOUT + 5, reactor)


@pytest_twisted.ensureDeferred
async def test_a_service_that_never_started_closes_its_socket() -> None:
    """An error elsewhere may keep the program from starting."""
    listening = bind("127.0.0.1", 0)
    await SocketService(reactor, listening, Answers().app.resource()).stopService()
    assert listening.fileno() == -1
