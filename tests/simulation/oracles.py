"""What must hold: while things fail, and once they are quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ownership_model import (
    behind_endpoints,
    behind_slices,
    exported,
    is_managed,
    is_ours,
    key_in,
    owner_in,
    slices_of,
)

from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES
from servicereflector.listwatch.informer import Informer
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.states import is_exported
from servicereflector.program import HOST

from .network import BUFFER
from .schedule import KEYS

if TYPE_CHECKING:
    from .runner import Node, Run

#: Bytes that one writer may have waiting: what fills the buffer, and one read of a view or list.
MOST_BUFFERED = BUFFER + 512 * 1024
MOST_CALLS = 150
MOST_CONNECTIONS = 80
MOST_KEYS = 8 * len(KEYS)


class Truth:
    """When each source last did not have each name: only that justifies a deletion. What a list
    only lacked justifies it where those are few, or after a while.

    :param memory: seconds for which something may be believed that is no longer so.
    :param limits: from when on those are many.
    """

    def __init__(
        self, nodes: Sequence[Node], memory: float, limits: Limits, now: Callable[[], float]
    ) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._memory = memory
        self._limits = limits
        self._now = now
        self._absent = {node.name: dict.fromkeys(KEYS, float("-inf")) for node in nodes}
        self._hidden = {node.name: dict.fromkeys(KEYS, float("-inf")) for node in nodes}
        self._held: dict[tuple[str, str, str], float] = {}

    def look(self) -> None:
        now = self._now()
        for name, node in self._nodes.items():
            for key in KEYS:
                record = node.cluster.model.stores[SERVICES].get(key)
                if record is None or not is_exported(record):
                    self._absent[name][key] = now
                if key in node.hidden:
                    self._hidden[name][key] = now

    def hide(self, node: Node) -> None:
        """Its lists lack something from now on. Where that is most of what is mirrored, it is held,
        as far as the host had nothing else to do. What it lacked before counts no more: that may
        never have been listed. Of what a host's own lists lack, it does not know that it is
        mirrored."""
        self.meddled(node)
        self._held = {held: until for held, until in self._held.items() if held[1] != node.name}
        for host in self._nodes.values():
            if node.number not in host.sources:
                continue
            owners = ((key, owner_in(host.cluster, key)) for key in KEYS)
            mirrored = {key for key, owner in owners if owner and owner.source == node.name}
            mirrored -= host.hidden
            others = [self._nodes[each] for each in self._nodes if each != node.name]
            others = [each for each in others if each.number in host.sources]
            # What another source has is taken over, not deleted.
            lacking = {
                key for key in mirrored & node.hidden if all(_lacks(each, key) for each in others)
            }
            many = len(lacking) > self._limits.fraction * len(mirrored)
            if len(mirrored) >= self._limits.least and many:
                for key in lacking:
                    self._held[host.name, node.name, key] = self._now() + self._limits.hold

    def told(self, node: Node, key: str) -> None:
        """A watch tells of what its lists lack: how many those lack now is not known. Nor is of how
        many, where the name is not its own already."""
        if key in node.hidden:
            self._held = {held: until for held, until in self._held.items() if held[1] != node.name}
        for host in self._nodes.values():
            owner = owner_in(host.cluster, key)
            if node.number in host.sources and (owner is None or owner.source != node.name):
                self.meddled(host)

    def withdrawn(self, node: Node) -> None:
        """It exports less: of how many mirrors its lists lack some is not known."""
        for host in self._nodes.values():
            if node.number in host.sources:
                self.meddled(host)

    def meddled(self, host: Node) -> None:
        """Somebody has a hand in its mirrors: how many the list lacks of how many is not known."""
        self._held = {held: until for held, until in self._held.items() if held[0] != host.name}

    def justifies(self, host: Node, key: str, source: str) -> bool:
        node = self._nodes.get(source)
        if node is None or node.number not in host.sources:
            return False
        self.look()
        now = self._now()
        if now - self._absent[source][key] <= self._memory:
            return True
        if now < self._held.get((host.name, source, key), 0.0):
            return False
        return self.lacked(node, key)

    def lacked(self, node: Node, key: str) -> bool:
        """Whether its lists have said of late that the name is not there."""
        self.look()
        return self._now() - self._hidden[node.name][key] <= self._memory


@dataclass
class _Promise:
    due: float
    source: Node
    host: Node
    key: str


class Promises:
    """A change of a healthy source reaches a healthy host soon, whatever else fails."""

    def __init__(
        self,
        nodes: Sequence[Node],
        prompt: float,
        now: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._prompt = prompt
        self._now = now
        self._tell = tell
        self._failed_at: dict[str, float] = {}
        self._promises: list[_Promise] = []
        self._taken: set[tuple[str, str]] = set()
        self._unseen: set[tuple[str, str]] = set()  # changes of sources that are not healthy
        self.kept = 0

    def fail(self, node: Node) -> None:
        """It is not healthy any more in this run."""
        self._failed_at[node.name] = self._now()
        self.forget(node)

    def forget(self, node: Node) -> None:
        self._promises = [p for p in self._promises if node not in (p.source, p.host)]

    def forget_name(self, node: Node, key: str) -> None:
        self._taken.add((node.name, key))
        self._promises = [p for p in self._promises if (p.host, p.key) != (node, key)]

    def expect(self, source: Node, key: str) -> None:
        self._promises = [p for p in self._promises if p.key != key]
        now = self._now()
        if source.name in self._failed_at:
            self._unseen.add((source.name, key))
            return
        if now < 15.0:
            return
        for host in self._nodes:
            if source.number not in host.sources or host.name in self._failed_at:
                continue
            if (host.name, key) in self._taken or host.cluster.foreign(SERVICES, key):
                continue
            others = [self._nodes[n] for n in host.sources if n != source.number]
            if any(not _lacks(other, key) for other in others):
                continue
            if any((other.name, key) in self._unseen for other in others):
                continue  # for all that the host knows, that one has it
            owner = owner_in(host.cluster, key)
            if owner is not None and owner.source != source.name:
                continue
            self._promises.append(_Promise(now + self._prompt, source, host, key))

    def check(self) -> None:
        now = self._now()
        due = [p for p in self._promises if p.due <= now]
        self._promises = [p for p in self._promises if p.due > now]
        for promise in due:
            wanted = exported(promise.source.cluster).get(promise.key)
            told = _difference(promise.host, promise.key, {promise.source.name: wanted})
            self.kept += 1
            if told:
                self._tell(f"{self._prompt:g} s after a change of the healthy source: {told}")


def _lacks(node: Node, key: str) -> bool:
    return not any(node.cluster.foreign(r, key) for r in (SERVICES, ENDPOINTS))


def check_bounds(run: Run) -> None:
    """Memory, timers and connections, whatever fails."""
    if run.network.most_buffered > MOST_BUFFERED:
        run.trouble(f"a writer has {run.network.most_buffered} bytes waiting")
    for node in run.nodes:
        process = node.process
        if process is None or process.clock.dead:
            continue
        calls = len(process.clock.getDelayedCalls())
        if calls > MOST_CALLS:
            run.trouble(f"{node.name}: {calls} delayed calls")
        controller = process.program.controller
        if controller is not None:
            queue = controller.queue
            if len(queue) > MOST_KEYS or len(queue._later) > 10 * MOST_KEYS:
                run.trouble(f"{node.name}: {len(queue)} keys queued, {len(queue._later)} later")
    for server in run.network.servers.values():
        alive = [w for w in server.wires if w.client.owner is None or not w.client.owner.dead]
        open_now = [w for w in alive if not w.client.closed]
        if len(open_now) > MOST_CONNECTIONS:
            run.trouble(f"{server.name}: {len(open_now)} connections")


def differences(run: Run) -> list[str]:
    """What is not as it should be, now that nothing fails."""
    found: list[str] = []
    for node in run.nodes:
        assert node.process is not None
        found += _stores(run, node)
    truths = {node.name: exported(node.cluster) for node in run.nodes}
    for node in run.nodes:
        if not node.sources:
            continue
        names = [run.nodes[number].name for number in node.sources]
        for key in KEYS:
            told = _difference(node, key, {name: truths[name].get(key) for name in names})
            if told:
                found.append(told)
        found += _plans(node)
    for watcher in run.watchers:
        node = run.nodes[run.schedule.watched]
        wanted = {
            record.key: record.version
            for record in node.cluster.model.stores[watcher._resource]
            if is_exported(record)
        }
        state = {
            key: int(item["metadata"]["resourceVersion"]) for key, item in watcher.state.items()
        }
        if state != wanted:
            found.append(f"a watcher of {node.name} believes {state}, not {wanted}")
    return found


def _plans(node: Node) -> Iterator[str]:
    """What the program itself would still do."""
    assert node.process is not None
    controller = node.process.program.controller
    assert controller is not None
    features = controller.features()
    if features is None:
        yield f"{node.name}: the host is not known"
        return
    if controller.fleet.awaiting():
        yield f"{node.name}: what is mirrored may still go to a source that comes before"
    for key in controller.all_keys():
        actions = controller.plan(key, features).actions
        if actions:
            yield f"{node.name}: {key}: still to do: {actions}"


def _stores(run: Run, node: Node) -> Iterator[str]:
    """Each informer's store is what its API has."""
    assert node.process is not None
    by_name = {each.name: each for each in run.nodes}
    for informer in node.process.program.informers:
        of_host = informer.source == HOST
        cluster = (node if of_host else by_name[informer.source]).cluster
        records = cluster.model.stores[informer.store.resource]
        wanted = {
            record.key: record.version
            for record in records
            if (_of_host(informer, record) if of_host else is_exported(record))
        }
        state = {record.key: record.version for record in informer.store}
        if state != wanted:
            yield (
                f"{node.name}: its {informer.store.resource.plural} of {informer.source} are"
                f" {state}, not {wanted}"
            )


def _of_host(informer: Informer, record: Any) -> bool:
    if informer.store.resource is not ENDPOINTSLICES or not informer._scope["label_selector"]:
        return True
    return is_managed(record.document())


def _difference(host: Node, key: str, says: dict[str, Any]) -> str:
    """What is wrong with the name in the host, by what its sources export under it."""
    cluster = host.cluster
    if cluster.foreign(SERVICES, key) or cluster.foreign(ENDPOINTS, key):
        return ""  # somebody's own: nothing is owed
    there = cluster.get(SERVICES, key)
    its_endpoints = cluster.get(ENDPOINTS, key)
    slices = [one for one in slices_of(cluster, key) if is_ours(one)]
    exporters = {name: each for name, each in says.items() if each is not None and each.kind}
    backed = [name for name, each in exporters.items() if each.backed]
    where = f"{host.name}: {key}"
    if not exporters:
        left = [what for what in (there, its_endpoints, *slices) if what is not None]
        return (
            f"{where}: no source has it, but there is {[key_in(o) for o in left]}" if left else ""
        )
    if there is None:
        return f"{where}: {backed} export it, but there is no mirror" if backed else ""
    owner = owner_in(cluster, key)
    if owner is None or owner.source not in exporters:
        return f"{where}: its mirror is of {owner}, but {list(exporters)} export it"
    wanted = exporters[owner.source]
    ports = tuple((port["name"], port["port"]) for port in there["spec"].get("ports") or ())
    if ports != wanted.ports:
        return f"{where}: ports {ports}, not {wanted.ports}"
    told = behind_endpoints(its_endpoints) if its_endpoints is not None else None
    if told != wanted.behind:
        return f"{where}: Endpoints {told}, not {wanted.behind}"
    if behind_slices(slices) != wanted.behind:
        return f"{where}: slices {behind_slices(slices)}, not {wanted.behind}"
    if cluster.get(NAMESPACES, key.split("/", maxsplit=1)[0]) is None:
        return f"{where}: no namespace"
    return ""
