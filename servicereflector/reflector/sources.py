"""A source as the controller sees it: its stores, and which of its Services want which name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..kube.objects import Record, split_key
from ..mirror.addresses import NOTHING, Reserved
from ..mirror.admission import EVERYTHING, Admission
from ..mirror.freshness import Freshness
from ..mirror.naming import Naming
from ..mirror.ownership import refusal
from ..mirror.policy import DEFAULT, Policy
from ..mirror.states import SourceState
from ..store.versioned import Store
from .slices import Slices


class Source:
    """A source's stores, by the name that its mirrors carry.

    :ivar freshness: whether it has fallen silent.
    :ivar unheard: whether it had fallen silent when this process began to lead, and has not been
        heard since.
    :ivar awaited_until: the time up to which its first lists are expected to come any moment.
    :ivar reviewed: the :attr:`listed` whose deletions were judged.
    :param aliases: what mirrors of it may name as their source beside its name: its URL.
    :param admission: what the operator says of it.
    :param rejects: whether a Service of this key, or what belongs to it, may not be known because
        it was rejected.
    """

    def __init__(
        self,
        name: str,
        services: Store,
        endpoints: Store,
        slices: Slices,
        *,
        policy: Policy = DEFAULT,
        aliases: Iterable[str] = (),
        admission: Admission = EVERYTHING,
        rejects: Callable[[str], bool] = lambda _service: False,
    ) -> None:
        self.name = name
        self.services = services
        self.endpoints = endpoints
        self.slices = slices
        self.freshness = Freshness.FRESH
        self.unheard = False
        self.awaited_until = float("-inf")
        self.reviewed = (0, 0, 0)
        self._policy = policy
        self._admission = admission
        self._rejects = rejects
        self._aliases = frozenset(alias.rstrip("/") for alias in aliases) - {name}
        self._claims: dict[str, set[str]] | None = None if policy.naming == Naming() else {}

    @property
    def synced(self) -> bool:
        """Whether its first lists are in. A source whose slices are still to come is not planned
        from its Endpoints: with each start of the program every mirror would be rewritten twice.
        What another process made of a source's silence is left as it is until that is heard."""
        stores = self.services.synced and self.endpoints.synced and self.slices.known
        return stores and not self.unheard

    @property
    def listed(self) -> tuple[int, int, int]:
        """Which lists are in, of its Services, Endpoints and slices."""
        return self.services.epoch, self.endpoints.epoch, self.slices.epoch

    def start(self) -> Callable[[], None]:
        """Follow which Services want which name from now on; the result ends it."""
        if self._claims is None:
            return lambda: None
        self._services_changed(tuple(record.key for record in self.services))
        return self.services.subscribe(self._services_changed)

    def host_key(self, key: str) -> str:
        """What the Service, or Endpoints, of this key is called in the host."""
        return self._policy.naming.host_key(self.name, key)

    def host_keys(self) -> list[str]:
        """What all its Services are called in the host."""
        if self._claims is None:
            return [record.key for record in self.services]
        return list(self._claims)

    def host_keys_in(self, namespace: str) -> list[str]:
        """Those of them in this namespace of the host."""
        if self._claims is None:
            return self.services.keys_in(namespace)
        return [key for key in self._claims if split_key(key)[0] == namespace]

    def claims(self, host_key: str) -> list[str]:
        """The keys of its Services that want this name."""
        if self._claims is None:
            return [host_key] if self.services.get(host_key) is not None else []
        return sorted(self._claims.get(host_key, ()))

    def answers_to(self, name: str) -> bool:
        """Whether a mirror that names this as its source is this source's."""
        return name == self.name or name.rstrip("/") in self._aliases

    def state(
        self,
        host_key: str,
        held: Record | None,
        now: float,
        *,
        kept: bool,
        reserved: Reserved = NOTHING,
    ) -> SourceState:
        """
        :param held: what the host has under that name.
        :param kept: whether the deletion of its mirror is held.
        :param reserved: the addresses that are the host's own.
        """
        claims = self.claims(host_key)
        mirrored = self._mirrored(held)
        if mirrored and self.services.get(mirrored) is None and self._rejects(mirrored):
            return replace(self._state("", now, kept=kept), rejected=True)
        if len(claims) < 2:
            state = self._state(claims[0] if claims else "", now, kept=kept)
        else:
            states = {key: self._state(key, now, kept=kept) for key in claims}
            key = self._choose(host_key, states, held, reserved)
            state = replace(states[key], rivals=tuple(claim for claim in claims if claim != key))
        if state.service is None or state.service.key != mirrored:
            return state
        unknown = state.endpoints is None and not state.slices and self._rejects(mirrored)
        return replace(state, rejected=True) if unknown else state

    def _mirrored(self, held: Record | None) -> str:
        """The key of what the host has a mirror of, ``""`` where it is none of this source's."""
        if held is None or held.source is None or not self.answers_to(held.source):
            return ""
        return held.origin or held.key

    def _state(self, key: str, now: float, *, kept: bool) -> SourceState:
        return SourceState(
            self.name,
            self.synced,
            service=self.services.get(key),
            endpoints=self.endpoints.get(key),
            awaited=not self.synced and now < self.awaited_until,
            slices=self.slices.of(key),
            aliases=self._aliases,
            freshness=self.freshness,
            held=kept,
            admission=self._admission,
        )

    def _choose(
        self,
        host_key: str,
        states: Mapping[str, SourceState],
        held: Record | None,
        reserved: Reserved,
    ) -> str:
        """Of several Services with one name in the host the one that has it keeps it."""
        namespace, _ = split_key(host_key)
        exported = [
            key
            for key, state in states.items()
            if state.exports and not refusal(state, self._policy, namespace, reserved)
        ]
        holder = (held.origin or held.key) if held is not None else ""
        if held is not None and self.answers_to(held.source or "") and holder in exported:
            return holder
        complete = [key for key in exported if states[key].complete]
        return next(iter([*complete, *exported, *states]), "")

    def _services_changed(self, keys: tuple[str, ...]) -> None:
        assert self._claims is not None
        for key in keys:
            host_key = self.host_key(key)
            claims = self._claims.setdefault(host_key, set())
            if self.services.get(key) is not None:
                claims.add(key)
            else:
                claims.discard(key)
            if not claims:
                del self._claims[host_key]
