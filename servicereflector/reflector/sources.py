"""A source as the controller sees it: its stores, and which of its Services want which name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..kube.objects import Record, split_key
from ..mirror.copying import is_external
from ..mirror.freshness import Freshness
from ..mirror.naming import Naming
from ..mirror.policy import DEFAULT, Policy
from ..mirror.selection import refused_namespace
from ..mirror.states import SourceState, is_exported
from ..store.versioned import Store
from .slices import Slices


class Source:
    """A source's stores, by the name that its mirrors carry.

    :ivar freshness: whether it has fallen silent.
    :ivar unheard: whether it had fallen silent when this process began to lead, and has not been
        heard since.
    :ivar awaited_until: the time up to which its first lists are expected to come any moment.
    :ivar reviewed: the list of its Services, by the store's epoch, whose deletions were judged.
    :param aliases: what mirrors of it may name as their source beside its name: its URL.
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
    ) -> None:
        self.name = name
        self.services = services
        self.endpoints = endpoints
        self.slices = slices
        self.freshness = Freshness.FRESH
        self.unheard = False
        self.awaited_until = float("-inf")
        self.reviewed = 0
        self._policy = policy
        self._aliases = frozenset(alias.rstrip("/") for alias in aliases) - {name}
        self._claims: dict[str, set[str]] | None = None if policy.naming == Naming() else {}

    @property
    def synced(self) -> bool:
        """Whether its first lists are in. A source whose slices are still to come is not planned
        from its Endpoints: with each start of the program every mirror would be rewritten twice.
        What another process made of a source's silence is left as it is until that is heard."""
        stores = self.services.synced and self.endpoints.synced and self.slices.known
        return stores and not self.unheard

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

    def state(self, host_key: str, held: Record | None, now: float, *, kept: bool) -> SourceState:
        """
        :param held: what the host has under that name.
        :param kept: whether the deletion of its mirror is held.
        """
        claims = self.claims(host_key)
        key = claims[0] if len(claims) == 1 else self._choose(host_key, claims, held)
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
            rivals=tuple(claim for claim in claims if claim != key),
        )

    def _choose(self, host_key: str, claims: list[str], held: Record | None) -> str:
        """Of several Services with one name in the host the one that has it keeps it."""
        exported = [claim for claim in claims if self._exports(claim, host_key)]
        holder = (held.origin or held.key) if held is not None else ""
        if held is not None and self.answers_to(held.source or "") and holder in exported:
            return holder
        complete = [k for k in exported if self.endpoints.get(k) or self.slices.of(k)]
        return next(iter([*complete, *exported, *claims]), "")

    def _exports(self, key: str, host_key: str) -> bool:
        record = self.services.get(key)
        if record is None or not is_exported(record):
            return False
        here, policy = split_key(host_key)[0], self._policy
        if not policy.external_names and is_external(record.document().get("spec") or {}):
            return False
        allowed, denied = policy.namespaces, policy.denied_namespaces
        return not refused_namespace(record.namespace, here, allowed, denied)

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
