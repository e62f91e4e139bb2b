"""Meshes of programs against the rules of ownership: people, faults and operators in any order.

Whatever happens, nothing that a person made is touched. Once it is quiet, each name has the owner
that the rules give it, its mirror is what that exports, and nothing is written any more.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from ownership_checks import Checks
from ownership_host import ENOUGH, GHOST, HOLD, KEYS, LONG_ENOUGH, Entry, Host, foreign_in
from ownership_model import (
    Owner,
    is_ours,
    key_in,
    kind_of,
    owner_in,
    slices_of,
)
from ownership_worlds import (
    After,
    Drawn,
    How,
    afterwards,
    hows,
    numbers,
    settings_of,
    some_keys,
    worlds,
)

from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
    Resource,
)
from servicereflector.kube.selectors import LabelSelector
from servicereflector.kube.slices import MANAGED_BY, SERVICE_NAME
from servicereflector.program import Roles
from servicereflector.reflector.follower import SourceSettings
from servicereflector.testing.clusters import endpoints, service
from servicereflector.testing.network import Server


class Meshes(Checks, RuleBasedStateMachine):
    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        Checks.__init__(self)

    @initialize(
        world=worlds(),
        there=st.fixed_dictionaries(
            {key: st.sets(numbers, min_size=1, max_size=2) for key in KEYS}
        ),
        how=hows,
    )
    def begin(self, world: list[Drawn], there: dict[str, set[int]], how: How) -> None:
        for name, drawn in zip("abcde", world, strict=False):
            selector = LabelSelector()
            emitted = selector if drawn.emits else None
            roles = Roles(emitted=emitted, reflected=selector, policy=drawn.policy)
            node = self.mesh.join(name, drawn.entries, roles=roles, timing=drawn.timing)
            host = Host(node, drawn.policy, [drawn.entries], drawn.emits)
            host.foreign = foreign_in(node.cluster)
            host.new = set(drawn.entries)
            self.hosts.append(host)
            self.by_name[name] = host
            self.history[name] = []
            self.note(host)
        for key, places in there.items():
            for number in sorted(places):
                self.put_service(self.host(number), key, how, force=False)
        self.faults = set(self.by_name)

    def host(self, number: int) -> Host:
        return self.hosts[number % len(self.hosts)]

    # What a person does

    def free(self, host: Host, key: str) -> None:
        """Delete what is ours under this key, as a person does who wants the name."""
        owner = owner_in(host.cluster, key)
        source = owner.source if owner is not None else ""
        if host.cluster.get(SERVICES, key) is not None:
            host.cluster.delete(SERVICES, key)
        self.note(host)
        host.touched(key, None, *([Owner(source, "")] if owner is not None else []))

    def put_again(self, host: Host, resource: Resource, key: str) -> None:
        """What a person wrote last."""
        if (resource, key) in host.written:
            host.cluster.put(resource, host.written[resource, key])
            self.note(host)

    def key(self, host: Host, number: int) -> str:
        names = [*KEYS, *KEYS, *host.names()]
        return names[number % len(names)]

    @rule(
        where=numbers,
        number=st.integers(0, 30),
        how=hows,
        force=st.booleans(),
        after=afterwards,
    )
    def put(self, where: int, number: int, how: How, force: bool, after: After) -> None:
        """Create or change a Service of one's own, and what is behind it."""
        host = self.host(where)
        self.put_service(host, self.key(host, number), how, force)
        self.then(after)

    @rule(where=numbers, keys=some_keys, how=hows, alone=st.booleans(), after=afterwards)
    def put_many(self, where: int, keys: list[str], how: How, alone: bool, after: After) -> None:
        """Services of one kind.

        :param alone: whether nobody else has some of these names.
        """
        host = self.host(where)
        if alone:
            self.clear(host, keys)
        for key in keys:
            self.put_service(host, key, how, force=alone)
        self.then(after)

    def clear(self, source: Host, keys: Iterable[str]) -> None:
        """Make way for mirrors of these."""
        for host in self.hosts:
            for key in keys:
                if host is not source:
                    self.delete_own(host, key)

    def put_service(self, host: Host, key: str, how: How, force: bool) -> None:
        kind, behind, ips, tier = how
        there = host.cluster.get(SERVICES, key)
        if there is not None and (is_ours(there) or kind_of(there) != kind):
            if is_ours(there) and not force:
                return
            self.free(host, key)
        labels = {"tier": tier, "ips": str(ips)}
        spec: Json = {}
        if kind == "headless":
            spec = {"clusterIP": "None"}
        elif kind == "ExternalName":
            spec = {"type": "ExternalName", "externalName": "db.example"}
        ports = [80, 443] if ips == 2 else [80]
        host.written[SERVICES, key] = service(key, ports=ports, labels=labels, **spec)
        self.put_again(host, SERVICES, key)
        self.put_behind(host, key, behind, ips, labels)

    @rule(where=numbers, number=st.integers(0, 30), ips=st.integers(0, 3), after=afterwards)
    def put_endpoints(self, where: int, number: int, ips: int, after: After) -> None:
        """Endpoints alone: a new address, or what stands in the way of a mirror."""
        host = self.host(where)
        key = self.key(host, number)
        labels = {"tier": "x", "ips": str(ips)}
        self.put_behind(host, key, "endpoints", ips, labels)
        self.then(after)

    def put_behind(
        self, host: Host, key: str, behind: str, ips: int, labels: dict[str, str]
    ) -> None:
        net = f"10.{self.hosts.index(host) + 1}.{sum(map(ord, key)) % 200}"
        addresses = [f"{net}.{n + 1}" for n in range(ips)]
        if behind in ("endpoints", "both"):
            owner = owner_in(host.cluster, key)
            document = endpoints(key, addresses, labels=labels)
            for subset in document["subsets"]:
                subset["notReadyAddresses"] = [{"ip": f"{net}.99"}]
            host.written[ENDPOINTS, key] = document
            self.put_again(host, ENDPOINTS, key)
            host.touched(key, owner)
        if behind in ("slices", "both"):
            namespace, name = key.split("/")
            document = {
                "metadata": {
                    "namespace": namespace,
                    "name": f"{name}-x",
                    "labels": {**labels, SERVICE_NAME: name, MANAGED_BY: "a-controller"},
                },
                "addressType": "IPv4",
                "endpoints": [
                    *({"addresses": [a], "conditions": {"ready": True}} for a in addresses),
                    {"addresses": [f"{net}.98"], "conditions": {"ready": False}},
                ],
                "ports": [{"name": "p80", "port": 80, "protocol": "TCP"}],
            }
            host.cluster.put(ENDPOINTSLICES, document)
            self.note(host)

    @rule(
        where=numbers,
        number=st.integers(0, 30),
        what=st.sampled_from(("all", "all", "service", "endpoints", "slices")),
        after=afterwards,
    )
    def withdraw(self, where: int, number: int, what: str, after: After) -> None:
        """Delete a Service of one's own, or what is behind it."""
        host = self.host(where)
        keys = {key for resource, key in host.foreign if resource in (SERVICES, ENDPOINTS)}
        if keys := keys - {"default/kubernetes"}:
            self.delete_own(host, sorted(keys)[number % len(keys)], what)
            self.then(after)

    def delete_own(self, host: Host, key: str, what: str = "all") -> None:
        for resource, word in ((SERVICES, "service"), (ENDPOINTS, "endpoints")):
            if what in ("all", word) and (resource, key) in host.foreign:
                owner = owner_in(host.cluster, key)
                host.cluster.delete(resource, key)
                self.note(host)
                nobody = (None,) if resource is SERVICES else ()
                host.touched(key, owner, *nobody, owner_in(host.cluster, key))
        if what in ("all", "slices"):
            for one in slices_of(host.cluster, key):
                if not is_ours(one):
                    host.cluster.delete(ENDPOINTSLICES, key_in(one))
                    self.note(host)

    @precondition(lambda self: any(host.mirrors() for host in self.hosts))
    @rule(
        number=st.integers(0, 100),
        how=st.sampled_from(
            (
                "add a label",
                "change a port",
                "add a selector",
                "delete",
                "delete with slices",
                "delete the Endpoints",
                "delete the slices",
                "adopt",
                "adopt wholly",
                "adopt the Endpoints",
                "adopt a slice",
                "let go of a slice",
                "name another source",
            )
        ),
        other=numbers,
        after=afterwards,
    )
    def tamper(self, number: int, how: str, other: int, after: After) -> None:
        """Lay hands on a mirror."""
        mirrors = [(host, key) for host in self.hosts for key in host.mirrors()]
        host, key = mirrors[number % len(mirrors)]
        owner = owner_in(host.cluster, key)
        assert owner is not None
        one = host.cluster.get(SERVICES, key)
        assert one is not None
        its_endpoints = host.cluster.get(ENDPOINTS, key)
        slices = [found for found in slices_of(host.cluster, key) if is_ours(found)]
        match how:
            case "add a label":
                host.additions[one["metadata"]["uid"]] = str(other)
                one["metadata"]["labels"]["mine"] = str(other)
                host.cluster.put(SERVICES, one)
            case "change a port" if one["spec"].get("ports"):
                one["spec"]["ports"][0]["port"] = 1000 + other
                host.cluster.put(SERVICES, one)
            case "add a selector":
                one["spec"]["selector"] = {"app": "mine"}
                host.cluster.put(SERVICES, one)
            case "delete" | "delete with slices":
                host.cluster.delete(SERVICES, key)
                host.touched(key, None, Owner(owner.source, ""))
                for found in slices if how == "delete with slices" else ():
                    host.cluster.delete(ENDPOINTSLICES, key_in(found))
            case "delete the Endpoints" if its_endpoints is not None and is_ours(its_endpoints):
                host.cluster.delete(ENDPOINTS, key)
            case "delete the slices":
                for found in slices:
                    host.cluster.delete(ENDPOINTSLICES, key_in(found))
            case "adopt" | "adopt wholly":
                del one["metadata"]["annotations"][REFLECTED]
                if how == "adopt wholly":
                    one["metadata"]["labels"].pop(REFLECTED, None)
                host.cluster.put(SERVICES, one)
                host.touched(key, owner_in(host.cluster, key))
            case "adopt the Endpoints" if its_endpoints is not None and is_ours(its_endpoints):
                del its_endpoints["metadata"]["annotations"][REFLECTED]
                host.cluster.put(ENDPOINTS, its_endpoints)
            case "adopt a slice" if slices:
                del slices[0]["metadata"]["annotations"][REFLECTED]
                host.cluster.put(ENDPOINTSLICES, slices[0])
            case "let go of a slice" if slices:
                del slices[0]["metadata"]["labels"][MANAGED_BY]
                host.cluster.put(ENDPOINTSLICES, slices[0])
            case "name another source":
                names = [*(entry[1].name for entry in host.entries), "nobody"]
                another = names[other % len(names)]
                one["metadata"]["annotations"][SOURCE] = another
                host.cluster.put(SERVICES, one)
                host.touched(key, Owner(another, owner.origin))
        self.note(host)
        self.then(after)

    @rule(where=numbers, namespace=st.sampled_from(("shop", "mall", "both")), after=afterwards)
    def delete_namespace(self, where: int, namespace: str, after: After) -> None:
        host = self.host(where)
        if host.cluster.get(NAMESPACES, namespace) is None:
            return
        for key in host.names():
            if key.startswith(f"{namespace}/"):
                host.touched(key, None)
        host.cluster.delete(NAMESPACES, namespace)
        self.note(host)
        self.then(after)

    # What goes wrong

    def servers(self) -> list[Server]:
        found = [host.cluster.server for host in self.hosts]
        return found + [h.node.emitter for h in self.hosts if h.node.emitter is not None]

    @rule(where=numbers, after=afterwards)
    def restart(self, where: int, after: After) -> None:
        host = self.host(where)
        self.stop(host)
        self.start(host)
        self.then(after)

    @rule(where=numbers, after=afterwards)
    def stop_or_start(self, where: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None:
            self.start(host)
        else:
            self.stop(host)
        self.then(after)

    def stop(self, host: Host) -> None:
        self.listen_again(host.name)
        self.faults.add(host.name)
        host.node.stop()

    def start(self, host: Host) -> None:
        """The program knows nothing of an earlier one."""
        if host.node.program is None:
            self.began_anew(host, host.entries)
            host.forgotten = set()
            host.node.start()

    def began_anew(self, host: Host, entries: Iterable[Entry]) -> None:
        entries = set(entries)
        host.starts += bool(entries)
        host.new |= entries
        self.hearing -= {(host.name, entry) for entry in entries}

    @rule(number=numbers, after=afterwards)
    def cut(self, number: int, after: After) -> None:
        server = self.servers()[number % len(self.servers())]
        self.faults.add(server.name.split(".")[0])
        server.cut()
        self.then(after)

    @rule(number=numbers, how=st.sampled_from(("refuse", "silence")), after=afterwards)
    def fail(self, number: int, how: str, after: After) -> None:
        """Until it recovers."""
        server = self.servers()[number % len(self.servers())]
        name = server.name.split(".")[0]
        self.faults.add(name)
        if how == "refuse":
            server.refuse()
        else:
            self.silenced.add(server.name)
            server.silence()
        self.then(after)

    @rule(after=afterwards)
    def recover(self, after: After) -> None:
        """All that failed; but not what is hushed."""
        for host in self.hosts:
            self.start(host)
        for server in self.servers():
            if server.name.split(".")[0] not in self.hushed or server.name in self.by_name:
                server.refuse(False)
                server.silence(False)
        self.silenced.clear()
        self.then(after)

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule(where=numbers)
    def hush(self, where: int) -> None:
        """A source falls silent when all is quiet, and stays so."""
        host = self.host(where)
        if host.node.emitter is None or host.name in self.hushed:
            return
        self.quiet()
        assert host.node.emitter is not None
        host.node.emitter.silence()
        self.hushed[host.name] = self.history[host.name][-1]
        self.hearing |= {
            (other.name, entry)
            for other in self.hosts
            for entry in other.entries
            if entry[0] == host.name
        }

    @precondition(lambda self: self.hushed)
    @rule(number=numbers, after=afterwards)
    def speak_again(self, number: int, after: After) -> None:
        name = sorted(self.hushed)[number % len(self.hushed)]
        self.listen_again(name)
        self.then(after)

    def listen_again(self, name: str) -> None:
        if name not in self.hushed:
            return
        self.faults.add(name)
        del self.hushed[name]
        self.hearing = {(host, entry) for host, entry in self.hearing if entry[0] != name}
        emitter = self.by_name[name].node.emitter
        assert emitter is not None
        emitter.silence(False)

    @rule(moves=st.lists(st.integers(0, 30), min_size=1, max_size=12))
    def nudge(self, moves: list[int]) -> None:
        """Some bytes move, and others do not yet."""
        self.then(moves)

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 11.0, 50.0, 100.0)))
    def wait(self, seconds: float) -> None:
        self.then(seconds)

    def then(self, after: After) -> None:
        self.steps += 1
        match after:
            case "nothing":
                return
            case "settle":
                self.mesh.settle()
            case list():
                servers = self.servers()
                for number in after:
                    servers[number % len(servers)].pump()
                    self.mesh.network.clock.advance(0)
                return
            case float():
                self.mesh.advance(after)
        self.see()

    def see(self) -> None:
        """No byte is under way, so a program knows what its host has told it."""
        for host in self.hosts:
            if host.node.program is None or host.name in self.silenced:
                continue
            controller = host.node.program.controller
            assert controller is not None
            for key in tuple(host.unseen):
                told = controller.host.endpoints.get(key)
                there = host.cluster.model.stores[ENDPOINTS].get(key)
                if there is None or (told is not None and told.version == there.version):
                    host.unseen.discard(key)

    # What the operator does

    @rule(
        where=numbers,
        what=st.sampled_from(("add", "add", "remove", "move", "rename", "redirect")),
        number=numbers,
        other=st.integers(0, 30),
        data=st.data(),
        after=afterwards,
    )
    def configure(
        self, where: int, what: str, number: int, other: int, data: st.DataObject, after: After
    ) -> None:
        """Sources come, go, change places, get another name, or their name another Emitter."""
        host = self.host(where)
        entries = list(host.entries)
        nodes = [*self.by_name, GHOST]
        node = nodes[other % len(nodes)]
        index = number % len(entries) if entries else 0
        if what == "add":
            entries.insert(index, (node, data.draw(settings_of(node, host.policy.naming))))
        elif not entries:
            return
        elif what == "remove":
            del entries[index]
        elif what == "move":
            entries.append(entries.pop(index))
        elif what == "rename":
            node = entries[index][0]
            entries[index] = node, data.draw(settings_of(node, host.policy.naming))
        elif what == "redirect":
            name = entries[index][1].name
            entries[index] = node, SourceSettings(name, url=f"http://{node}.emitter")
        if len({entry[1].name for entry in entries}) < len(entries):
            return
        fresh = set(entries) - set(host.entries)
        host.configurations.append(tuple(entries))
        self.began_anew(host, fresh)
        host.forgotten -= {entry[1].name for entry in entries}
        self.hearing = {
            (name, entry)
            for name, entry in self.hearing
            if name != host.name or entry in host.entries
        }
        host.node.use_sources(*entries)
        self.then(after)

    @rule(where=numbers, number=numbers, after=afterwards)
    def forget(self, where: int, number: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None:
            return
        controller = host.node.program.controller
        assert controller is not None
        configured = {entry[1].name for entry in host.entries}
        owners = (owner_in(host.cluster, key) for key in host.mirrors())
        names = {owner.source for owner in owners if owner is not None} | configured
        if not names:
            return
        name = sorted(names - configured or names)[number % len(names - configured or names)]
        if name in configured:
            with pytest.raises(ValueError, match="is configured"):
                controller.forget(name)
            return
        controller.forget(name)
        host.forgotten.add(name)
        host.ever_forgotten.add(name)
        self.then(after)

    @rule(where=numbers, number=numbers, after=afterwards)
    def release(self, where: int, number: int, after: After) -> None:
        host = self.host(where)
        if host.node.program is None or not host.entries:
            return
        controller = host.node.program.controller
        assert controller is not None
        controller.release(host.entries[number % len(host.entries)][1].name)
        self.then(after)

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule(
        where=numbers,
        how=st.sampled_from(("list", "list", "first list", "watch")),
        then=st.sampled_from(("release", "hold over", "return", "leave")),
        more=st.booleans(),
    )
    def delete_all(self, where: int, how: str, then: str, more: bool) -> None:
        """All Services of a source go. Where a list tells so, most of its mirrors are kept for now:
        a source that comes up empty-handed has lost them rather than deleted them."""
        source = self.host(where)
        if source.name in self.hushed or source.node.emitter is None:
            return
        if more:
            self.clear(source, KEYS)
            for key in KEYS:
                self.put_service(source, key, ("ClusterIP", "endpoints", 1, "x"), force=False)
        self.quiet()
        there = [key for resource, key in source.foreign if resource is SERVICES]
        there = [key for key in there if key != "default/kubernetes"]
        hosts = [host for host in self.hosts if source.name in dict(host.entries)]
        stopped = {"list": [source], "first list": hosts, "watch": []}[how]
        for host in stopped:
            self.stop(host)
        behind = [key for key in there if (ENDPOINTS, key) in source.foreign]
        for key in there:
            self.delete_own(source, key, "service")
        self.mesh.settle()  # its own Emitter knows
        for host in stopped:
            self.start(host)
        self.mesh.advance(20.0)
        for host in hosts:
            if host is not source:
                self.check_held(host, source, how)
        if then == "release":
            for host in hosts:
                for node, told in host.entries:
                    if node == source.name and host.node.program is not None:
                        assert host.node.program.controller is not None
                        host.node.program.controller.release(told.name)
        elif then == "return":
            for key in there:
                if source.cluster.get(SERVICES, key) is None:
                    self.put_again(source, SERVICES, key)
                    if key in behind:
                        self.put_again(source, ENDPOINTS, key)
        if then != "leave":
            self.mesh.advance(HOLD + 1.0 if then == "hold over" else 1.0)
            for host in hosts:
                if host is not source and then != "return":
                    for key in self.lost(host, source):
                        assert owner_in(host.cluster, key) is None, f"{key} is held for ever"

    # What must be

    @invariant()
    def nothing_foreign_is_touched(self) -> None:
        for host in self.hosts:
            found = foreign_in(host.cluster)
            for place in host.foreign.keys() - found.keys():
                resource, key = place
                # The API server takes Endpoints along with a Service; there is no precondition.
                assert resource is ENDPOINTS, f"{place} is gone"
                assert key in host.unseen, f"{place} is gone"
                assert host.cluster.get(SERVICES, key) is None or key not in host.uids
                self.note(host)
            made = found.keys() - host.foreign.keys()
            assert not made, f"{made} is not marked"
            for place, (version, body) in found.items():
                assert host.foreign[place] == (version, body), f"{place} is changed"

    @precondition(lambda self: self.steps >= ENOUGH)
    @rule()
    def be_quiet(self) -> None:
        self.quiet()

    def quiet(self) -> None:
        """Nothing fails any more, but for what is hushed, and time has passed."""
        try:
            self.recover("nothing")
            self.mesh.advance(LONG_ENOUGH)
            self.nothing_foreign_is_touched()
            self.see()
            for host in self.hosts:
                self.check(host)
            self.check_watchers()
            versions = [host.cluster.model.version for host in self.hosts]
            self.mesh.advance(120.0)
            assert versions == [h.cluster.model.version for h in self.hosts], "it does not rest"
        except BaseException:
            self.failed = True
            raise
        for host in self.hosts:
            host.forget_the_past()
            if host.name not in self.hushed:
                del self.history[host.name][:-1]
        self.faults = set()
        self.steps = 0

    def teardown(self) -> None:
        if self.hosts and not self.failed:
            for name in tuple(self.hushed):
                self.listen_again(name)
            self.quiet()
        self.mesh.stop()


TestMeshes = Meshes.TestCase
# An example takes a second or two, and twice that while the coverage is measured.
TestMeshes.settings = settings(
    max_examples=settings().max_examples * 3 // 5, suppress_health_check=[*HealthCheck]
)
# Where the time ends the test it may do so within a callback, and the errors that follow hide why.
TestMeshes.pytestmark = pytest.mark.timeout(900)
