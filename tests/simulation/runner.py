"""One run: what a schedule says is done, then everything ends, then all must be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ownership_model import is_ours
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.web.resource import IResource

from servicereflector.kube.resources import ENDPOINTS, SERVICES, Resource
from servicereflector.kube.selectors import LabelSelector
from servicereflector.listwatch import machine
from servicereflector.listwatch.machine import Timing
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.policy import Policy
from servicereflector.program import Roles
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import endpoints, service

from . import oracles
from .behaviour import Behaviour, Misbehaving
from .network import SimNetwork
from .schedule import FAULTS, KEYS, TIMINGS, Schedule
from .watcher import Watcher
from .world import Broken, Process, SimCluster

NAMES = "abcd"
LIMITS = Limits(fraction=0.5, least=3, hold=60.0)

#: Seconds for which something may be believed that is no longer so: the longest that a program may
#: sleep, and what it then has to hear.
MEMORY = 240.0

#: Writes of others between the first backup and the beginning: more than a run has of its own.
FAR = 10_000

#: Seconds within which a change of a healthy source reaches a healthy host.
PROMPT = 5.0


def bound(timing: Timing) -> float:
    """Seconds of quiet after which everything is right.

    What hangs is noticed after ``idle`` or, a list, after 60 s; then it is tried again within the
    backoff's 30 s, or a Retry-After, here 20 at most; a list that is older than what was seen is
    believed after ``patience``. That twice: an Emitter's own informer, then those of its clients.
    Then a key's next attempt, at most 60 s later, a write that never showed up (5), a source that
    is waited for (10), slices that are asked for again (60), and held deletions.
    """
    recovery = max(timing.idle, 60.0) + 30.0 + 20.0 + timing.patience
    return 2 * recovery + 60.0 + 5.0 + 10.0 + 60.0 + LIMITS.hold


@dataclass
class Report:
    """What a run was.

    :ivar seconds: simulated.
    """

    seconds: float = 0.0
    events: int = 0
    writes: int = 0
    settled_after: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    trace: int = 0


@dataclass(eq=False)
class Node:
    cluster: SimCluster
    sources: tuple[int, ...]
    roles: Roles
    number: int
    process: Process | None = None
    offset: float = 0.0
    backup: Any = None
    sabotaged: int = 0
    hidden: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.cluster.name


class Run:
    """
    :ivar troubles: promises that were broken.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.report = Report()
        self.troubles: list[str] = []
        draws = Random(schedule.seed)
        self.draw = draws.random
        self.timing = TIMINGS[schedule.timing]
        self.network = SimNetwork(Random(schedule.seed + 1).random)
        self.network.note = self._note
        self.behaviours: dict[str, Behaviour] = {}
        self.network.wrap = self._wrap
        self.processes: list[Process] = []
        self.watchers: list[Watcher] = []
        self.ends_at = 0.0
        everything = LabelSelector()
        used = {number for each in schedule.sources for number in each}
        self.nodes: list[Node] = []
        for number, sources in enumerate(schedule.sources):
            roles = Roles(
                emitted=everything if number in used else None,
                reflected=everything if sources else None,
                policy=Policy(limits=LIMITS),
            )
            cluster = SimCluster(NAMES[number], self.network)
            node = Node(cluster, sources, roles, number)
            cluster.guard.tell = lambda what, name=cluster.name: self.trouble(f"{name}: {what}")
            cluster.guard.before = lambda *what, node=node: self._too_late(node, *what)
            self.nodes.append(node)
        self.hosts = [node for node in self.nodes if node.sources]
        self.exporters = [node for node in self.nodes if node.number in used]
        self.truth = oracles.Truth(self.nodes, MEMORY, LIMITS, self.now)
        self.promises = oracles.Promises(self.nodes, PROMPT, self.now, self.trouble)
        for node in self.nodes:
            node.cluster.guard.deleted = lambda key, source, node=node: self._judge(
                node, key, source
            )

    def now(self) -> float:
        return self.network.clock.rightNow

    def trouble(self, what: str) -> None:
        self.troubles.append(f"at {self.now():.3f} s: {what}")

    def _note(self, what: str) -> None:
        self.report.effects[what] += 1

    def _wrap(self, name: str, resource: IResource) -> IResource:
        behaviour = self.behaviours.setdefault(name, Behaviour())
        return Misbehaving(resource, behaviour, self._note)

    def _judge(self, node: Node, key: str, source: str) -> None:
        if node.cluster.foreign(ENDPOINTS, key) and not self.truth.lacked(node, key):
            self.trouble(f"{node.name}: Service {key} is deleted with foreign Endpoints")
        if not self.truth.justifies(node, key, source):
            self.trouble(f"{node.name}: the mirror {key} of {source} is deleted, which exports it")

    # Acts

    def execute(self) -> Report:
        """
        :raises Broken: with what went wrong.
        """
        limit, machine.PAGE_LIMIT = machine.PAGE_LIMIT, self.schedule.page
        globalLogPublisher.addObserver(self._logged)
        try:
            self._execute()
        finally:
            machine.PAGE_LIMIT = limit
            globalLogPublisher.removeObserver(self._logged)
            for process in self.processes:
                process.clock.dead = True
        return self.report

    def _logged(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None and event["log_level"] >= LogLevel.critical:
            self.trouble("an error is logged: " + event["log_failure"].getTraceback())

    def _execute(self) -> None:
        schedule = self.schedule
        for number, key in schedule.there:
            self.put(self.nodes[number], KEYS[key], 1)
        self.truth.look()
        for node in self.nodes:
            node.backup = node.cluster.backup()
            node.cluster.expire(FAR)
            self.start(node)
        if schedule.watched >= 0 and self.nodes[schedule.watched].roles.emitted is not None:
            server = f"{self.nodes[schedule.watched].name}.emitter"
            for resource in (SERVICES, ENDPOINTS):
                watcher = Watcher(self.network, server, resource, self.trouble)
                self.watchers.append(watcher)
        for act in schedule.acts:
            self.act(*act)
            self.check()
        if self.ends_at > self.now():
            self.network.advance(self.ends_at - self.now() + 0.1)
        self.check()
        self.become_quiet()
        self.finish()

    def check(self) -> None:
        self.promises.check()
        oracles.check_bounds(self)
        if self.troubles:
            raise Broken("; ".join(self.troubles[:5]))

    def act(self, kind: str, wait: int, where: int, what: int, much: int) -> None:
        node = self.nodes[where % len(self.nodes)]
        if kind in FAULTS:
            self.report.faults[kind] += 1
            getattr(self, f"_{kind}")(node, where, what, much)
        else:
            getattr(self, kind)(self._place(kind, where), KEYS[what % len(KEYS)], much)
        self.truth.look()
        if wait >= 0:
            self.network.advance(wait / 10)
        else:
            for _ in range(-wait):
                self.network.step()

    def _place(self, kind: str, where: int) -> Node:
        """Where people do this: mostly where it matters."""
        fitting = self.hosts if kind in ("take", "tamper") else self.exporters
        nodes = self.nodes if where % 4 == 3 else fitting
        return nodes[where % len(nodes)]

    def wait(self, _node: Node, _key: str, _much: int) -> None:
        """Nothing."""

    def until(self, seconds: float, end: Callable[[], None]) -> None:
        """A fault that ends by itself."""
        self.ends_at = max(self.ends_at, self.now() + seconds)
        self.network.clock.callLater(seconds, end)

    def start(self, node: Node) -> None:
        if node.process is not None and not node.process.clock.dead:
            return
        settings = [SourceSettings(NAMES[number]) for number in node.sources]
        node.process = Process(
            node.cluster, settings, node.roles, self.timing, self.draw, node.offset
        )
        self.processes.append(node.process)

    # What people do

    def put(self, node: Node, key: str, much: int) -> None:
        """Export a Service, or change it."""
        there = node.cluster.get(SERVICES, key)
        if there is not None and is_ours(there):
            return
        self._put(node, key, much)
        self.promises.expect(node, key)

    def many(self, node: Node, _key: str, much: int) -> None:
        for key in KEYS:
            self.put(node, key, much)

    def _put(self, node: Node, key: str, much: int) -> None:
        number = KEYS.index(key)
        self.truth.told(node, key)
        ips = [f"10.{node.number + 1}.{number}.{much + n + 1}" for n in range(1 + much % 3)]
        node.cluster.put(SERVICES, service(key, ports=[80 + much % 2]))
        there = node.cluster.get(ENDPOINTS, key)
        if there is None or not is_ours(there):
            node.cluster.put(ENDPOINTS, endpoints(key, ips, ports=[80 + much % 2]))

    def delete(self, node: Node, key: str, _much: int) -> None:
        if node.cluster.foreign(SERVICES, key):
            self.truth.withdrawn(node)
            node.cluster.delete(SERVICES, key)
            self.promises.expect(node, key)

    def withdraw(self, node: Node, key: str, _much: int) -> None:
        if node.cluster.foreign(ENDPOINTS, key):
            self.truth.withdrawn(node)
            node.cluster.delete(ENDPOINTS, key)
            self.promises.expect(node, key)

    def take(self, node: Node, key: str, much: int) -> None:
        """Somebody wants the name for himself, mirror or not."""
        there = node.cluster.get(SERVICES, key)
        if there is not None and is_ours(there):
            node.cluster.delete(SERVICES, key)
            self.truth.meddled(node)
        self._put(node, key, much)
        self.promises.expect(node, key)
        self.promises.forget_name(node, key)

    def tamper(self, node: Node, key: str, much: int) -> None:
        self.meddle(node, SERVICES if much % 2 else ENDPOINTS, key, much // 2)

    def meddle(self, node: Node, resource: Resource, key: str, how: int) -> None:
        """Lay hands on a mirror."""
        there = node.cluster.get(resource, key)
        if there is None or not is_ours(there):
            return
        self.promises.forget_name(node, key)
        self.truth.meddled(node)
        if how % 4 == 0:
            node.cluster.delete(resource, key)
            return
        if how % 4 == 3:
            node.cluster.delete(resource, key)
            self._make_own(node, resource, key, how)
            return
        if how % 4 == 1:
            there["metadata"].setdefault("labels", {})["mine"] = str(how)
        elif resource is SERVICES:
            there["spec"]["ports"][0]["port"] = 1000 + how
        else:
            there["subsets"] = []
        node.cluster.put(resource, there)

    def _make_own(self, node: Node, resource: Resource, key: str, number: int) -> None:
        self.truth.told(node, key)
        if resource is SERVICES:
            node.cluster.put(SERVICES, service(key, ports=[7]))
        else:
            node.cluster.put(ENDPOINTS, endpoints(key, [f"10.66.0.{number + 1}"]))

    def _too_late(self, node: Node, verb: str, resource: Resource, key: str) -> None:
        """Somebody else is faster, by a moment."""
        if node.sabotaged <= 0 or resource not in (SERVICES, ENDPOINTS):
            return
        node.sabotaged -= 1
        self._note(f"a {verb} comes too late")
        if verb == "create":
            self.promises.forget_name(node, key)
            self._make_own(node, resource, key, node.sabotaged)
        else:
            self.meddle(node, resource, key, node.sabotaged)
        self.truth.look()

    # What fails. ``where`` also chooses between a cluster's API and its Emitter.

    def server(self, node: Node, where: int) -> Any:
        emitter = self.network.servers.get(f"{node.name}.emitter")
        server = node.cluster.server if emitter is None or where % 3 == 0 else emitter
        self.promises.fail(node)
        return server

    def servers_now(self, name: str) -> Any:
        return self.network.servers[name]

    def _cut(self, node: Node, where: int, _what: int, _much: int) -> None:
        self.server(node, where).cut()

    def _refuse(self, node: Node, where: int, what: int, much: int) -> None:
        server = self.server(node, where)
        server.refusing = True
        if what % 2:
            server.cut()
        name = server.name

        def end() -> None:
            now = self.servers_now(name)
            now.refusing = now.owner is not None and (now.owner.dead or self._stopping(node))

        self.until(much, end)

    def _stopping(self, node: Node) -> bool:
        return node.process is not None and not node.process.alive

    def _silence(self, node: Node, where: int, _what: int, much: int) -> None:
        """Packets are lost, and sent again until they arrive."""
        name = self.server(node, where).name
        self.servers_now(name).hush(True)
        self.until(much, lambda: self.servers_now(name).hush(False))

    def _half_open(self, node: Node, where: int, what: int, much: int) -> None:
        """What is open is dead, in one direction or both, and nobody is told."""
        server = self.server(node, where)
        for wire in tuple(server.wires):
            wire.lose(what % 3 != 0, what % 3 != 1)
        if what % 2:
            name = server.name
            server.blackhole = True

            def end() -> None:
                now = self.servers_now(name)
                now.blackhole = False
                for wire in tuple(now.wires):  # what was opened meanwhile, if anything
                    self.network.touch(wire)

            self.until(much, end)

    def _truncate(self, node: Node, where: int, what: int, much: int) -> None:
        """Each open connection carries so many bytes more, then it is closed."""
        for wire in tuple(self.server(node, where).wires):
            wire.limit = 1 + much * 7 + what

    def _slow(self, node: Node, where: int, what: int, much: int) -> None:
        """New connections take up to so long for each byte."""
        name = self.server(node, where).name
        self.servers_now(name).delay = 0.02 * (1 + what)

        def end() -> None:
            self.servers_now(name).delay = 0.0

        self.until(much, end)

    def _behave(self, node: Node, where: int, much: int, **members: Any) -> None:
        server = self.server(node, where)
        behaviour = self.behaviours[server.name]
        usual = Behaviour()
        for name, value in members.items():
            setattr(behaviour, name, value)
        # Watches that run are of no interest to it, so they end.
        server.cut()

        def end() -> None:
            for name in members:
                setattr(behaviour, name, getattr(usual, name))

        self.until(much, end)

    def _replay(self, node: Node, where: int, what: int, much: int) -> None:
        self._behave(node, where, much, replay=1 + what * 2)

    def _gone(self, node: Node, where: int, _what: int, _much: int) -> None:
        """Older versions are no longer known, from now on, and the answer is no 200."""
        server = self.server(node, where)
        node.cluster.expire()
        self.behaviours[server.name].gone_below = node.cluster.model.version
        server.cut()

    def _gone_event(self, node: Node, where: int, _what: int, much: int) -> None:
        self._behave(node, where, min(much, 13), gone_event=True)

    def _gone_continue(self, node: Node, where: int, _what: int, much: int) -> None:
        self._behave(node, where, min(much, 13), gone_continue=True)

    def _too_many(self, node: Node, where: int, what: int, much: int) -> None:
        self._behave(node, where, much, error=(429, 1 + what))

    def _errors(self, node: Node, where: int, what: int, much: int) -> None:
        self._behave(node, where, much, error=((500, 503, 504)[what % 3], 0))

    def _lost_answer(self, node: Node, _where: int, what: int, _much: int) -> None:
        self.promises.fail(node)
        self.servers_now(node.name).lost_answers += 1 + what % 3

    def _sabotage(self, node: Node, _where: int, what: int, _much: int) -> None:
        self.promises.fail(node)
        node.sabotaged += 1 + what

    def _stalled(self, node: Node, where: int, _what: int, much: int) -> None:
        """Who is connected reads nothing for a while."""
        server = self.server(node, where)
        wires = tuple(server.wires)
        for wire in wires:
            wire.client.reading = False

        def end() -> None:
            for wire in wires:
                wire.client.resumeProducing()

        self.until(much, end)

    def _jump(self, node: Node, _where: int, what: int, much: int) -> None:
        """The clock on the wall is set, by hours."""
        node.offset += (-1 if what % 2 else 1) * 3600.0 * much
        if node.process is not None:
            node.process.epoch_offset = node.offset

    def _sleep(self, node: Node, _where: int, _what: int, much: int) -> None:
        process = node.process
        if process is None or not process.alive:
            return
        self.promises.fail(node)
        process.sleep()
        self.until(much, process.wake)

    def _stop(self, node: Node, _where: int, _what: int, much: int) -> None:
        process = node.process
        if process is None or not process.alive or process.clock.asleep:
            return
        self.promises.fail(node)
        process.stop()
        self._restart_in(node, max(much, 32))

    def _kill(self, node: Node, _where: int, _what: int, much: int) -> None:
        if node.process is None or node.process.clock.dead:
            return
        self.promises.fail(node)
        node.process.kill()
        self._restart_in(node, much)

    def _power(self, node: Node, _where: int, _what: int, much: int) -> None:
        if node.process is None or node.process.clock.dead:
            return
        self.promises.fail(node)
        node.process.kill(vanish=True)
        self._restart_in(node, much)

    def _restart_in(self, node: Node, seconds: float) -> None:
        process = node.process

        def again() -> None:
            assert process is not None
            if node.process is not process:
                return
            if process.stopping is not None and not process.clock.dead:
                if process.stopped_at is None:
                    self.trouble(f"{node.name}: the program does not stop")
                self._check_stopped(node, process)
            process.kill()
            self.start(node)

        self.until(seconds, again)

    def _check_stopped(self, node: Node, process: Process) -> None:
        if process.stopped_at is not None and self.now() - process.stopped_at > 61.0:
            left = process.clock.getDelayedCalls()
            if left:
                self.trouble(f"{node.name}: it has stopped, and left {left}")

    def _restore(self, node: Node, _where: int, what: int, _much: int) -> None:
        """From a backup, as etcdutl does it that tells that older versions are gone."""
        self.promises.fail(node)
        if what % 2:
            node.backup = node.cluster.backup()
            return
        node.cluster.restore(node.backup, 1000)
        self.promises.forget(node)

    def _rewind(self, node: Node, _where: int, what: int, _much: int) -> None:
        """From a backup, and versions go back. Who has seen newer ones finds out by itself if it
        looks before they are reached again; else it is to be started anew."""
        self.promises.fail(node)
        alone = what % 2 and node.cluster.model.version - node.backup[2] >= FAR
        node.cluster.restore(node.backup, 0)
        for name in (node.name, f"{node.name}.emitter"):
            self.behaviours.setdefault(name, Behaviour()).gone_below = 0
        self.promises.forget(node)
        for other in self.nodes:
            if other is node or node.number in other.sources:
                self.promises.fail(other)
                if not alone and other.process is not None and not other.process.clock.dead:
                    other.process.kill()
                    self._restart_in(other, 1)
        for watcher in self.watchers:
            watcher.stop() if alone else watcher.begin_anew()
        if alone:  # a plain client never finds out
            self.watchers.clear()

    def _expire(self, node: Node, _where: int, _what: int, _much: int) -> None:
        node.cluster.expire()

    def _short_list(self, node: Node, _where: int, what: int, much: int) -> None:
        """Lists of the cluster lack some of its objects, and nothing tells so."""
        self.promises.fail(node)
        hidden = {key for n, key in enumerate(KEYS) if (what + 1) >> (n % 3) & 1}
        node.hidden = frozenset(hidden)
        self.truth.hide(node)
        for resource in (SERVICES, ENDPOINTS):
            store = node.cluster.model.stores[resource]
            usual = type(store).select

            def select(
                predicate: Any, *, store: Any = store, usual: Any = usual, **rest: Any
            ) -> Any:
                def shown(record: Any) -> bool:
                    return bool(predicate(record)) and record.key not in node.hidden

                return usual(store, shown, **rest)

            store.select = select  # type: ignore[method-assign]
        node.cluster.expire()

        def end() -> None:
            node.hidden = frozenset()
            for resource in (SERVICES, ENDPOINTS):
                node.cluster.model.stores[resource].__dict__.pop("select", None)
            node.cluster.expire()
            self.truth.look()

        self.until(much, end)

    # The end

    def become_quiet(self) -> None:
        """
        :raises Broken: it does not within :func:`bound`.
        """
        for node in self.nodes:
            node.sabotaged = 0
            node.cluster.server.lost_answers = 0
            for server in (node.cluster.server, self.network.servers.get(f"{node.name}.emitter")):
                for wire in tuple(server.wires) if server is not None else ():
                    wire.limit = None
        began, most = self.now(), bound(self.timing)
        self.truth.look()
        left = ["nothing was looked at"]
        for moment in (2.0, 35.0, 65.0, 100.0, 130.0, 200.0, 300.0, most):
            if moment > most:
                continue
            self.network.advance(began + moment - self.now())
            self.check()
            left = oracles.differences(self)
            if not left:
                break
        if left:
            raise Broken(f"after {most:g} s of quiet: " + "; ".join(left[:6]))
        self.report.settled_after = self.now() - began
        writes = [node.cluster.guard.writes for node in self.nodes]
        self.network.advance(61.0)
        self.check()
        if writes != [node.cluster.guard.writes for node in self.nodes]:
            told = [node.cluster.guard.log[-3:] for node in self.nodes]
            raise Broken(f"things are quiet and right, but it goes on writing: {told}")
        left = oracles.differences(self)
        if left:
            raise Broken("it was right, and is no longer: " + "; ".join(left[:6]))

    def finish(self) -> None:
        self.report.events = sum(
            informer.stats.events for p in self.processes for informer in p.program.informers
        ) + sum(watcher.events for watcher in self.watchers)
        self.report.writes = sum(node.cluster.guard.writes for node in self.nodes)
        for watcher in self.watchers:
            watcher.stop()
        for node in self.nodes:
            if node.process is not None:
                node.process.stop()
        self.network.advance(10.0)
        for node in self.nodes:
            if node.process is not None and node.process.stopped_at is None:
                self.trouble(f"{node.name}: the program does not stop")
        self.check()
        self.report.seconds = self.now()
        self.report.trace = hash(
            (self.network.bytes_moved, *(tuple(n.cluster.guard.log) for n in self.nodes))
        )


def run(schedule: Schedule) -> Report:
    """
    :raises Broken: a promise is.
    """
    return Run(schedule).execute()
