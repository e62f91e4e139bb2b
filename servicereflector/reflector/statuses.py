"""What has become of each exported Service, told once per change."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from ..mirror.ownership import State, Status

#: Told when a source's Service turns out to be in conflict: the key, the source, the reason.
ConflictListener = Callable[[str, str, str], None]


class Statuses(dict[str, dict[str, Status]]):
    """By key, the status by the name of the source."""

    log = Logger()

    def __init__(self, in_conflict: ConflictListener) -> None:
        super().__init__()
        self._in_conflict = in_conflict

    def note(self, key: str, statuses: dict[str, Status]) -> None:
        """These are the key's from now on."""
        before = self.get(key, {})
        if statuses:
            self[key] = statuses
        else:
            self.pop(key, None)
        for source, status in statuses.items():
            if before.get(source) != status:
                # Pending is what nearly every new Service is for a moment.
                level = self.log.debug if status.state is State.PENDING else self.log.info
                level(
                    "{key} of {source}: {state}{reason}",
                    key=key,
                    source=source,
                    state=status.state.value,
                    reason=f": {status.reason}" if status.reason else "",
                )
                if status.state is State.CONFLICT:
                    self._in_conflict(key, source, status.reason)
        for source in before.keys() - statuses.keys():
            self.log.info("{key} of {source}: no longer mirrored", key=key, source=source)
