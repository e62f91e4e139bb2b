"""What the controller did, and what has become of each name, for people and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..mirror.plan import Action, Plan, describe
from ..mirror.states import State, Status
from ..reasons import Code
from .delays import Delays
from .journal import Journal
from .statuses import Notice, NoticeListener, Statuses


@dataclass(slots=True)
class Stats:
    """What the controller did.

    :ivar conflicts: writes that found the object changed, gone or there already: news, not errors.
    """

    attempts: int = 0
    errors: int = 0
    conflicts: int = 0
    writes: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delay:
    """Of a change that a source told of, until it was written.

    :ivar source: that source: whose mirror it is, or was.
    :ivar written: when, by the reactor's clock.
    :ivar seconds: since it arrived.
    :ivar changed: when Pods had changed, in seconds since 1970; None where that is not told.
    """

    source: str
    written: float
    seconds: float
    changed: float | None = None


class Outcomes:
    """
    :param told: what people should hear of.
    :param epoch: the time in seconds since 1970.
    """

    def __init__(self, told: NoticeListener, epoch: Callable[[], float]) -> None:
        self.stats = Stats()
        self.statuses = Statuses(told)
        self.journal = Journal()
        self.delays = Delays()
        self._told = told
        self._epoch = epoch
        self._began = epoch()

    def wrote(self, key: str, action: Action) -> None:
        """The host took this."""
        what = (type(action).__name__.lower(), action.resource.plural)
        self.stats.writes[what] = self.stats.writes.get(what, 0) + 1
        self.journal.note(key, self._epoch(), describe(action))

    def carried_out(self, key: str, plan: Plan, delay: Delay | None) -> None:
        """The host took all of it.

        :param delay: where a source had told of a change that led to writes.
        """
        if delay is not None:
            self._delayed(key, delay)
        if plan.former:
            message = f"taken over from source {plan.former!r} by {plan.owner!r}"
            self.journal.note(key, self._epoch(), message)
            self._told(Notice(key, plan.owner, Code.TAKEN_OVER, message))
        self._note(key, plan.statuses)

    def _delayed(self, key: str, delay: Delay) -> None:
        self.journal.delayed(key, delay.seconds)
        self.delays.observe(delay.source, delay.seconds, delay.written)
        # As kube-proxy has it: what changed before it began says nothing of how fast it is.
        if delay.changed is not None and delay.changed > self._began:
            self.delays.observe_programming(delay.source, self._epoch() - delay.changed)

    def foreseen(self, key: str, plan: Plan) -> None:
        """Another process is to carry it out; until then, what has become of the name stays."""
        if not plan.actions:
            self._note(key, plan.statuses)
        elif plan.owner and key not in self.statuses:
            why = "the replica that leads is to mirror it"
            pending = Status(State.PENDING, Code.LEADER_PENDING, why)
            self._note(key, {**plan.statuses, plan.owner: pending})

    def failed(self, key: str, sources: Iterable[str], status: Status) -> None:
        """A plan could not be carried out."""
        self.stats.errors += 1
        self._note(key, dict.fromkeys(sources, status))

    def _note(self, key: str, statuses: dict[str, Status]) -> None:
        if self.statuses.note(key, statuses):
            told = [
                f"{source}: {status.state.value}{f' ({status.reason})' if status.reason else ''}"
                for source, status in statuses.items()
            ]
            self.journal.note(key, self._epoch(), "; ".join(told) or "no longer mirrored")
