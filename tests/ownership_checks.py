"""What must be in a mesh once it is quiet, by the rules of ownership."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ownership_host import KEYS, LIMITS, SELECTORS, Entry, Host, foreign_in
from ownership_model import (
    ABSENT,
    AWAITED,
    BACKED,
    BARE,
    FRESH,
    LISTED,
    OVERDUE,
    REMOVED,
    STALE,
    Exported,
    Owner,
    Rules,
    Says,
    Snapshot,
    behind_endpoints,
    behind_slices,
    ends,
    exported,
    is_ours,
    kind_of,
    owner_in,
    reachable,
    slices_of,
    texts,
)

from servicereflector.kube.annotations import ORIGIN, REFLECTED
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
)
from servicereflector.mirror.ownership import State
from servicereflector.mirror.policy import EndpointsApi
from servicereflector.testing.clusters import Mesh


class Checks:
    """
    :ivar history: what each node's cluster has shown since it was quiet, by the selector.
    :ivar faults: nodes that may have been out of reach since it was quiet.
    :ivar hushed: nodes whose Emitter is silent since a quiet moment, with what it showed then.
    :ivar hearing: the hosts and sources that were listed before that and have not begun anew.
    """

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.hosts: list[Host] = []
        self.by_name: dict[str, Host] = {}
        self.history: dict[str, list[dict[str | None, Snapshot]]] = {}
        self.faults: set[str] = set()
        self.silenced: set[str] = set()
        self.hushed: dict[str, dict[str | None, Snapshot]] = {}
        self.hearing: set[tuple[str, Entry]] = set()
        self.failed = False
        self.steps = 0  # since it was quiet

    def note(self, host: Host) -> None:
        """A person has written: that is what there is to guard, and to see."""
        before, host.foreign = host.foreign, foreign_in(host.cluster)
        host.unseen |= {key for r, key in host.foreign.keys() - before.keys() if r is ENDPOINTS}
        shown = {selector: exported(host.cluster, selector) for selector in set(SELECTORS)}
        self.history[host.name].append(shown)

    def lost(self, host: Host, source: Host) -> list[str]:
        """The mirrors of it that nobody wants any more by the rules."""
        found = []
        for key, owner in host.owners.items():
            names = [e[1].name for e in host.entries if e[0] == source.name]
            if owner.source not in names or self.blocked(host, key) or key in host.made_owners:
                continue
            if ends({owner}, self.says(host, key), self.host_rules(host)) == {None}:
                found.append(key)
        return found

    def check_held(self, host: Host, source: Host, how: str) -> None:
        names = [told.name for node, told in host.entries if node == source.name]
        for name in names:
            mirrors = [key for key in host.uids if host.owners[key].source == name]
            lost = set(self.lost(host, source)) & set(mirrors)
            blocked = any(self.blocked(host, key) for key in mirrors)
            many = len(mirrors) >= LIMITS.least and len(lost) > LIMITS.fraction * len(mirrors)
            for key in lost:
                there = host.cluster.get(SERVICES, key)
                if how != "watch" and many:
                    assert there is not None, f"{key} is deleted in {host.name}: it is one of many"
                    assert there["metadata"]["uid"] == host.uids[key][0]
                    # Another of its sources here may have taken it over before it heard as much.
                    assert self.states(host, key) in [{one: State.HELD} for one in names]
                elif how != "first list" and not blocked:
                    assert there is None, f"{key} is held in {host.name}, though it is one of few"

    def host_rules(self, host: Host, *, ever: bool = False) -> Rules:
        if host.policy.prune:
            return Rules(None)
        return Rules(frozenset(host.ever_forgotten if ever else host.forgotten))

    def answers(self, entry: Entry) -> bool:
        return entry[0] in self.by_name and self.by_name[entry[0]].emits

    def shown(self, host: Host, entry: Entry) -> Snapshot | None:
        """What the program knows of a source once it is quiet, None as long as it is not listed."""
        node, told = entry
        if not self.answers(entry) or (
            node in self.hushed and (host.name, entry) not in self.hearing
        ):
            return None
        return self.hushed.get(node, self.history[node][-1])[told.selector]

    def says(self, host: Host, key: str) -> list[Says]:
        """What is known of the name once it is quiet."""
        found = []
        for entry in host.entries:
            shown, told = self.shown(host, entry), entry[1]
            found.append(
                Says(
                    told.name,
                    told.url,
                    self.claims(host, entry, key, [shown]) if shown is not None else {},
                    frozenset({LISTED if shown is not None else OVERDUE}),
                    frozenset({self.freshness(entry)}),
                )
            )
        return found

    def freshness(self, entry: Entry) -> int:
        patience = entry[1].patience
        if self.answers(entry) and entry[0] not in self.hushed:
            return FRESH
        if patience.remove_after is not None:
            return REMOVED
        return FRESH if patience.stale_after is None else STALE

    def may_say(self, host: Host, entries: Iterable[Entry], key: str) -> list[Says]:
        """What may have been known of the name at some moment since it was quiet last."""
        found = []
        disturbed = bool(self.faults or self.hushed or host.starts)
        for entry in entries:
            node, told = entry
            shown: list[Snapshot] = []
            listing = {LISTED}
            if not self.answers(entry):
                listing = {AWAITED, OVERDUE}
            elif (host.name, entry) in self.hearing:
                shown = [self.hushed[node][told.selector]]
            elif node in self.hushed and entry in host.entries:
                listing = {AWAITED, OVERDUE}
                shown = [s[told.selector] for s in self.history[node]]
            else:
                shown = [s[told.selector] for s in self.history[node]]
            if node in self.hushed and entry not in host.entries:
                listing |= {LISTED}
            if entry in host.new:
                listing.add(AWAITED)
                if node in self.faults or host.starts > 1:
                    listing.add(OVERDUE)
            freshness = {FRESH}
            if disturbed and told.patience.stale_after is not None:
                freshness.add(STALE)
            if disturbed and told.patience.remove_after is not None:
                freshness.add(REMOVED)
            claims = self.claims(host, entry, key, shown)
            found.append(
                Says(told.name, told.url, claims, frozenset(listing), frozenset(freshness))
            )
        return found

    def claims(
        self, host: Host, entry: Entry, key: str, shown: Iterable[Snapshot]
    ) -> dict[str, frozenset[str]]:
        """What the source may say of each of its keys that may have this name in the host.

        A Service and what is behind it come on different streams.
        """
        shown = list(shown)
        found = {}
        for there in sorted({*KEYS, *(one for snapshot in shown for one in snapshot)}):
            if host.host_key(entry[1].name, there) != key:
                continue
            all_of = [snapshot.get(there, Exported()) for snapshot in shown]
            kinds = {
                "" if one.kind and host.refuses(there, key, one.kind) else one.kind
                for one in all_of
            }
            states = {ABSENT} if "" in kinds else set()
            if kinds - {"", "ExternalName"}:
                states |= {BACKED if one.backed else BARE for one in all_of}
            if "ExternalName" in kinds:
                states.add(BACKED)
            found[there] = frozenset(states)
        return found

    def blocked(self, host: Host, key: str) -> bool:
        return (SERVICES, key) in host.foreign or (ENDPOINTS, key) in host.foreign

    def states(self, host: Host, key: str) -> dict[str, State]:
        assert host.node.program is not None
        assert host.node.program.controller is not None
        told = host.node.program.controller.statuses.get(key, {})
        return {source: status.state for source, status in told.items()}

    def check(self, host: Host) -> None:
        for key in host.names():
            try:
                self.check_name(host, key)
            except AssertionError as error:
                raise AssertionError(f"{key} in {host.name}: {error}") from error

    def check_name(self, host: Host, key: str) -> None:
        owner = owner_in(host.cluster, key)
        sources = self.says(host, key)
        if (SERVICES, key) in host.foreign:
            assert not any(map(is_ours, slices_of(host.cluster, key))), "slices of another Service"
        waits = (
            host.cluster.get(NAMESPACES, key.split("/", maxsplit=1)[0]) is None
            and not host.policy.create_namespaces
        )
        if self.blocked(host, key) or waits:
            self.check_states(host, key, sources, None, waits=waits)
            return
        starts = {host.owners.get(key), *host.made_owners.get(key, ())}
        passed = reachable(
            starts,
            [self.may_say(host, entries, key) for entries in host.configurations],
            self.host_rules(host, ever=True),
        )
        allowed = ends(passed, sources, self.host_rules(host))
        assert owner in allowed, f"{owner} has it, not {allowed}; of {starts}, {sources}"
        self.check_states(host, key, sources, owner)
        if owner is None:
            return
        there = host.cluster.get(SERVICES, key)
        kinds = {
            snapshot[selector].get(origin, Exported()).kind
            for shown in self.history.values()
            for snapshot in shown
            for selector in snapshot
            for origin in (*KEYS, *snapshot[selector])
        } - {""}
        if there is not None and key in host.uids and None not in passed and len(kinds) < 2:
            uid, cluster_ip = host.uids[key]
            assert there["metadata"]["uid"] == uid, "it was deleted in between"
            assert there["spec"].get("clusterIP", "") == cluster_ip
        entry = next((e for e in host.entries if e[1].name == owner.source), None)
        shown = self.shown(host, entry) if entry is not None else None
        if entry is not None and shown is not None:
            self.check_mirror(host, key, entry, shown[owner.origin], owner.origin)

    def check_mirror(
        self, host: Host, key: str, entry: Entry, wanted: Exported, origin: str
    ) -> None:
        """It is what its source exports."""
        one = host.cluster.get(SERVICES, key)
        assert one is not None, "there is no Service"
        annotations, labels = texts(one, "annotations"), texts(one, "labels")
        assert annotations.get(ORIGIN, key) == origin
        assert (ORIGIN in annotations) == (origin != key)
        mine = host.additions.get(one["metadata"]["uid"])
        assert labels == {
            **dict(wanted.labels),
            REFLECTED: "true",
            **({"mine": mine} if mine is not None else {}),
        }
        assert kind_of(one) == wanted.kind
        assert [(p["name"], p["port"]) for p in one["spec"].get("ports", ())] == list(wanted.ports)
        assert "selector" not in one["spec"]
        freshness = self.freshness(entry)
        behind = wanted.behind if wanted.kind != "ExternalName" else frozenset()
        if freshness == REMOVED:
            behind = frozenset()
        api = host.policy.endpoints_api
        ready = {b for b in behind if b[1]}
        its_endpoints = host.cluster.get(ENDPOINTS, key)
        if api is EndpointsApi.ENDPOINTSLICES or wanted.kind == "ExternalName":
            assert its_endpoints is None
        else:
            assert its_endpoints is not None, "there are no Endpoints"
            expected = {(ip, freshness != STALE, *port) for ip, _, *port in ready}
            assert behind_endpoints(its_endpoints) == expected
        own = [found for found in slices_of(host.cluster, key) if is_ours(found)]
        if api is EndpointsApi.ENDPOINTS:
            assert not own
            return
        expected = {(ip, told and freshness != STALE, *port) for ip, told, *port in behind}
        if self.has_lost_slices(host, key):
            assert behind_slices(own) <= expected
        else:
            assert behind_slices(own) == expected

    def has_lost_slices(self, host: Host, key: str) -> bool:
        """Whether a person has taken one of the mirror's slices."""
        namespace, name = key.split("/")
        pattern = re.compile(rf"{namespace}/{name}-[a-z2-7]{{12}}")
        return any(r is ENDPOINTSLICES and pattern.fullmatch(k) for r, k in host.foreign)

    def check_states(
        self,
        host: Host,
        key: str,
        sources: list[Says],
        owner: Owner | None,
        *,
        waits: bool = False,
    ) -> None:
        """What people are told."""
        if any(len(source.claims) > 1 for source in sources):
            return
        exporting = {source.name for source in sources if source.may_export}
        found = {n: s for n, s in self.states(host, key).items() if s is not State.REFUSED}
        if self.blocked(host, key):
            assert found == dict.fromkeys(exporting, State.CONFLICT)
        elif owner is None:
            first = {s.name for s in sources if not s.may_lack}
            if not waits or not first:
                assert found == dict.fromkeys(exporting, State.PENDING)
        else:
            expected = dict.fromkeys(exporting, State.STANDBY)
            names = [s for s in sources if s.name == owner.source]
            names = names or [s for s in sources if s.url == owner.source]
            if not names:
                expected[owner.source] = State.ORPHANED
            elif len(names) == 1:
                (freshness,) = names[0].freshness
                told = (State.MIRRORED, State.STALE, State.WITHDRAWN)
                expected[names[0].name] = told[freshness]
            else:
                return
            assert found == expected

    def check_watchers(self) -> None:
        """Each source is watched by those who are to, and by nobody else."""
        for host in self.hosts:
            if not host.emits or host.name in self.hushed or host.node.program is None:
                continue
            api = host.node.program.read_api
            assert api is not None
            followers = sum(entry[0] == host.name for h in self.hosts for entry in h.entries)
            assert api.stats.watchers == 3 * followers, f"watches of {host.name}"
