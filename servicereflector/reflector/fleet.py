"""All sources of the program: what they say of a name, and which of their lists to believe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..cooperation import BUDGET
from ..kube.objects import split_key
from ..mirror.breaker import Breaker
from ..mirror.ownership import refusal
from ..mirror.policy import Policy
from ..mirror.states import SourceState
from ..reasons import Code
from .host import Host
from .sources import Source


def _is_to_be_judged(source: Source) -> bool:
    return source.synced and source.reviewed != source.listed


class Fleet:
    """
    :ivar sources: in configured order, which decides between those that start together.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, host: Host, policy: Policy) -> None:
        self.sources: tuple[Source, ...] = ()
        self.breaker = Breaker(policy.limits)
        self._clock = clock
        self._host = host
        self._policy = policy
        self._review: Iterator[None] = iter(())  # of the list that is being judged

    def use(self, sources: Sequence[Source]) -> None:
        """These are the sources from now on, in this order."""
        for name in {s.name for s in self.sources} - {s.name for s in sources}:
            self.breaker.forget_source(name)
        self.sources = tuple(sources)

    def named(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)

    def awaiting(self) -> bool:
        """Whether a first list is expected any moment that may change what becomes of mirrors."""
        now = self._clock.seconds()
        return any(not source.synced and now < source.awaited_until for source in self.sources)

    def states(self, key: str) -> list[SourceState]:
        """What each source says of a name of the host."""
        return list(self._states(key))

    def _states(self, key: str) -> Iterator[SourceState]:
        now = self._clock.seconds()
        held = self._host.held(key)
        for source in self.sources:
            kept = self.breaker.held(source.name, key, now)
            yield source.state(key, held, now, kept=kept, reserved=self._host.reserved())

    def believe(self, key: str, states: Iterable[SourceState]) -> None:
        """What is exported again is no longer to be held when it goes."""
        for state in states:
            if self._takes(key, state) and not self._empties(key, state):
                self.breaker.settled(state.name, key)

    def review(self) -> bool:
        """Go on to judge the lists that have come, before anything is done about any of them.

        :return: whether there was something to judge, and so may be more: it takes too long for
            one turn of the reactor.
        """
        until = self._clock.seconds() + BUDGET
        judged = False
        for _ in self._review:
            judged = True
            if self._clock.seconds() >= until:
                return True
        for source in self.sources:
            if _is_to_be_judged(source):
                self._review = self._judge(source)
                return True
        return judged

    def _judge(self, source: Source) -> Iterator[None]:
        """A step for each mirror. If another list comes meanwhile, that one is judged instead."""
        listed = source.listed
        mirrors, missing = self.mirrors_of(source), []
        for key in mirrors:
            if self._lacks(source, key):
                missing.append(key)
            yield
            if source not in self.sources or source.listed != listed:
                return
        source.reviewed = listed
        if self.breaker.listed(source.name, mirrors, missing, self._clock.seconds()):
            self.log.warn(
                "the lists of source {source} lack {count} of its {mirrors} mirrors, or all that is"
                " behind them: their deletion is held for {hold:g} s, or until service-reflector"
                " release {source}",
                reason=Code.HELD,
                source=source.name,
                count=len(missing),
                mirrors=len(mirrors),
                hold=self._policy.limits.hold,
            )

    def take_over(self) -> None:
        """Another has decided on deletions so far: those that were held here, or let go, are held
        from now on."""
        now = self._clock.seconds()
        for source in self.sources:
            self.breaker.start_over(source.name, self.mirrors_of(source), now)

    def mirrors_of(self, source: Source) -> list[str]:
        """The keys of the Services in the host that mirror it."""
        services = self._host.services
        return [r.key for r in services if r.source is not None and source.answers_to(r.source)]

    def wants_namespace(self, name: str) -> bool:
        """Whether something is, or for all that is known may be, mirrored into the namespace."""
        if not all(source.synced for source in self.sources):
            return True
        services = self._host.services
        mirrors = (services.get(key) for key in services.keys_in(name))
        return any(record is not None and record.source is not None for record in mirrors) or any(
            self._wanted(key) for source in self.sources for key in source.host_keys_in(name)
        )

    def _lacks(self, source: Source, key: str) -> bool:
        """Whether the mirror, or all that is behind it, is to be deleted by what is said."""
        states = self.states(key)
        return not any(self._takes(key, state) for state in states) or any(
            state.name == source.name and self._empties(key, state) for state in states
        )

    def _empties(self, key: str, state: SourceState) -> bool:
        """Whether the source exports the Service alone, whose mirror has something behind it."""
        return state.exports and not state.complete and self._host.state(key).backed

    def _wanted(self, key: str) -> bool:
        """Whether any source has the name mirrored."""
        return any(self._takes(key, state) for state in self._states(key))

    def _takes(self, key: str, state: SourceState) -> bool:
        """Whether the source has the name mirrored, and may."""
        namespace, _ = split_key(key)
        reserved = self._host.reserved()
        return state.exports and not refusal(state, self._policy, namespace, reserved)
