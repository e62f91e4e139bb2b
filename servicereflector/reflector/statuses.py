"""What has become of each exported Service, told once per change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.logger import Logger, LogLevel

from ..mirror.states import State, Status
from ..reasons import Code


@dataclass(frozen=True, slots=True)
class Notice:
    """What people should find where they look for it: as an Event beside the object.

    :ivar source: the name of the source that it is about.
    :ivar reason: the Event's.
    """

    key: str
    source: str
    reason: Code
    message: str


#: Told once when something noteworthy has become of a name.
NoticeListener = Callable[[Notice], None]

_NOTEWORTHY = {
    State.CONFLICT: "not mirrored from source {!r}: {}",
    State.REJECTED: "not mirrored from source {!r}: {}",
    State.HELD: "source {!r}: {}",
    State.STALE: "source {!r}: {}",
    State.WITHDRAWN: "source {!r}: {}",
}

#: What the others have where the status says that people should hear of it.
_REFUSED = "source {!r}: {}"

#: All mirrors of a source have these together, which one line about the source tells.
_QUIET_TO_LEAVE = (State.HELD, State.STALE, State.WITHDRAWN)

#: Pending is what nearly every new Service is for a moment; the controller tells its failures.
_QUIET = (State.PENDING, State.FAILED, State.REJECTED, *_QUIET_TO_LEAVE)


class Statuses(dict[str, dict[str, Status]]):
    """By key, the status by the name of the source; only :meth:`note` changes them.

    :ivar states: how many there are by source and state, counted as they change: a scrape must not
        cost what the fleet is large.
    :ivar refused: how many addresses are left out, by source.
    """

    log = Logger()

    def __init__(self, told: NoticeListener) -> None:
        super().__init__()
        self._told = told
        self.states: Counter[tuple[str, State]] = Counter()
        self.refused: Counter[str] = Counter()

    def note(self, key: str, statuses: dict[str, Status]) -> bool:
        """These are the key's from now on; whether that is news."""
        before = self.get(key, {})
        self._count(before, -1)
        self._count(statuses, 1)
        if statuses:
            self[key] = statuses
        else:
            self.pop(key, None)
        for source, status in statuses.items():
            if (former := before.get(source)) != status:
                quiet = status.state in _QUIET or (former and former.state in _QUIET_TO_LEAVE)
                self.log.emit(
                    LogLevel.debug if quiet else LogLevel.info,
                    "{key} of {source}: {state}{why}",
                    reason=status.code,
                    key=key,
                    source=source,
                    state=status.state.value,
                    why=f": {status.reason}" if status.reason else "",
                )
                self._tell(key, source, status)
        for source in before.keys() - statuses.keys():
            text = "{key} of {source}: no longer mirrored"
            self.log.info(text, reason=Code.GONE, key=key, source=source)
        return before != statuses

    def tell_again(self) -> None:
        """Tell what is noteworthy as if it had just happened."""
        for key, statuses in self.items():
            for source, status in statuses.items():
                self._tell(key, source, status)

    def _count(self, statuses: Mapping[str, Status], by: int) -> None:
        for source, status in statuses.items():
            self.states[source, status.state] += by
            self.refused[source] += by * status.refused
            if not self.states[source, status.state]:
                del self.states[source, status.state]
            if not self.refused[source]:
                del self.refused[source]

    def _tell(self, key: str, source: str, status: Status) -> None:
        if status.noteworthy or status.state in _NOTEWORTHY:
            message = _NOTEWORTHY.get(status.state, _REFUSED)
            self._told(Notice(key, source, status.code, message.format(source, status.reason)))
