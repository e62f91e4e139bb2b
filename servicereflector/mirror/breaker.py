"""The breaker: of a list that lacks most of what is mirrored from its source, nothing is deleted.

Such a list is more likely of a restored backup, a wrong selector or a server that has half started
than of Services that are gone. What it would have deleted is held until the source has kept to its
answer for a while, or somebody says that it is right.

A deletion that is no longer held takes many turns of the reactor, and a list that comes in between
lacks the same keys. They are let go: they are not held again, and do not count, neither among what
is mirrored nor among what is missing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    :ivar fraction: the part of a source's mirrors, 0 to 1, of which a list may lack so much and no
        more. It cannot lack more than all, so 1 never holds.
    :ivar least: how many mirrors a source must have; of fewer any list is believed, unless it
        repeats one that was not.
    :ivar hold: for how many seconds deletions are held, 0 for not at all.
    """

    fraction: float = 0.5
    least: int = 10
    hold: float = 300.0


class Breaker:
    """Of all sources, by name. Keys are ``namespace/name`` in the host; times are seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: dict[str, dict[str, float]] = {}  # until when, by source and key
        self._let_go: dict[str, set[str]] = {}  # by source; none of them is held

    def listed(
        self, source: str, mirrors: Collection[str], missing: Collection[str], now: float
    ) -> bool:
        """The source has told a complete list.

        What it no longer trips the breaker for is let go, and not told by :meth:`due`: whoever has
        the list looks at all of its keys.

        :param mirrors: the keys of its mirrors.
        :param missing: those of them that are to be deleted by what the list says.
        :return: whether something is held that was not held before.
        """
        before, let_go = self._held.get(source, {}), self._let_go.get(source, set())
        lacking = set(missing)
        ended = {key for key, until in before.items() if until <= now}
        going = lacking & (let_go | ended)
        # What is held does not go sooner because another mirror went.
        least = 1 if lacking & (before.keys() - ended) else self._limits.least
        trips = self._trips(len(lacking) - len(going), len(mirrors) - len(going), least)
        held = {}
        for key in missing:
            if key in ended:
                held[key] = before[key]  # is still to be told
            elif trips and key not in let_go:
                held[key] = before.get(key, now + self._limits.hold)
        self._held[source] = held
        self._let_go[source] = (lacking & (let_go | before.keys())) - held.keys()
        return not held.keys() <= before.keys()

    def _trips(self, missing: int, mirrors: int, least: int) -> bool:
        limits = self._limits
        if limits.hold <= 0 or missing == 0 or mirrors < least:
            return False
        # Rounded as the fraction itself was: 29 of 100 are no more than 0.29, but than 0.29 * 100.
        return missing / mirrors > limits.fraction

    def held(self, source: str, key: str, now: float) -> bool:
        """Whether the mirror must not be deleted yet."""
        until = self._held.get(source, {}).get(key)
        return until is not None and now < until

    def settled(self, source: str, key: str) -> None:
        """The source exports it again, or its mirror is gone: when it is missing, that is new."""
        self._held.get(source, {}).pop(key, None)
        self._let_go.get(source, set()).discard(key)

    def release(self, source: str) -> set[str]:
        """Let go at once what is held, which is the result."""
        keys = set(self._held.pop(source, {}))
        self._let_go.setdefault(source, set()).update(keys)
        return keys

    def start_over(self, source: str, mirrors: Collection[str], now: float) -> None:
        """Nothing that was let go has been deleted: it is held again, for the whole time.

        :param mirrors: the keys of its mirrors; what is none of them is no longer to be deleted.
        """
        missing = self._held.get(source, {}).keys() | self._let_go.get(source, set())
        until = now + self._limits.hold
        self._held[source] = {key: until for key in mirrors if key in missing}
        self._let_go[source] = set()

    def forget_source(self, source: str) -> None:
        """It is no longer configured."""
        self._held.pop(source, None)
        self._let_go.pop(source, None)

    def count(self, source: str) -> int:
        """How many keys are held. One whose hold has ended counts until :meth:`due` tells it."""
        return len(self._held.get(source, {}))

    def until(self, source: str) -> float | None:
        """When the first of the source's holds ends, None where nothing is held."""
        return min(self._held.get(source, {}).values(), default=None)

    def next_due(self) -> float | None:
        """When the first hold of all ends: when to ask :meth:`due`. None where nothing is held."""
        return min((until for held in self._held.values() for until in held.values()), default=None)

    def due(self, now: float) -> list[tuple[str, str]]:
        """Let go what has been held for long enough: sources and keys, each told once."""
        ended = [
            (source, key)
            for source, held in self._held.items()
            for key, until in held.items()
            if until <= now
        ]
        for source, key in ended:
            del self._held[source][key]
            self._let_go[source].add(key)
        return ended
