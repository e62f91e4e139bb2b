"""Which objects of one resource are rejected now, as far as they can be remembered."""

from __future__ import annotations

from collections import Counter

from ..kube.strangers import Rejected

#: Of more than these only the number is known, and that nothing may be deleted for their absence.
MOST_REMEMBERED = 100_000

#: The reason of what there is no room for.
QUOTA = "quota"


class Rejections:
    """
    :ivar counts: how many objects and lines were ever rejected, by reason.
    :ivar forgotten: how many of the last list, and since, were too many to be remembered.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self.counts: Counter[str] = Counter()
        self.forgotten = 0
        self._most = most
        self._now: dict[str, Rejected] = {}  # by key, or by message where there is no key
        self._services: Counter[str] = Counter()
        self._without_room = 0
        self._listing: set[str] = set()
        self._left_over = 0  # what was forgotten of the list under way

    def __len__(self) -> int:
        return len(self._now) + self.forgotten

    @property
    def first(self) -> str:
        """Of one of them why; ``""`` where there is none."""
        return next((str(error) for error in self._now.values()), "")

    @property
    def wants_room(self) -> bool:
        """Whether any is rejected for want of room."""
        return self._without_room > 0

    def note(self, error: Rejected, *, listed: bool = False) -> bool:
        """One more; whether that is news.

        :param listed: whether it stands in the list under way, which has not been taken over.
        """
        self.counts[error.reason] += 1
        if not error.key and not listed:
            return True  # nothing will tell that it is gone
        what = error.key or str(error)
        before = self._now.get(what)
        if before is None and len(self._now) >= self._most:
            self.forgotten += not listed
            self._left_over += listed
            return False
        if before is not None:
            self._forget(what)
        self._now[what] = error
        self._services[error.service] += 1
        self._without_room += error.reason == QUOTA
        if listed:
            self._listing.add(what)
        return before is None or before.reason != error.reason

    def healed(self, key: str) -> None:
        """A good version came, or the object is gone."""
        self._listing.discard(key)
        if key in self._now:
            self._forget(key)

    def begin(self) -> None:
        """A list begins."""
        self._listing.clear()
        self._left_over = 0

    def end(self) -> None:
        """A whole list is in: what it did not have rejected is not."""
        for what in [what for what in self._now if what not in self._listing]:
            self._forget(what)
        self.forgotten = self._left_over
        self.begin()

    def listed(self) -> list[str]:
        """The keys that the list under way had rejected."""
        return [what for what in sorted(self._listing) if self._now[what].key]

    def covers(self, service: str) -> bool:
        """Whether that a Service, or what belongs to it, is not known may be for a rejection."""
        return bool(self.forgotten or self._services[service])

    def _forget(self, what: str) -> None:
        error = self._now.pop(what)
        service = error.service
        self._without_room -= error.reason == QUOTA
        self._services[service] -= 1
        if not self._services[service]:
            del self._services[service]
