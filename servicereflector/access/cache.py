"""Answers that hold for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Cache(Generic[Answer]):
    """The answers asked for last, each until its time is up."""

    def __init__(self, size: int) -> None:
        """
        :param size: how many are kept.
        """
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()

    def get(self, key: Hashable, now: float) -> Answer | None:
        """
        :param now: in seconds, as ``until`` is.
        """
        until, answer = self._kept.get(key, (now, None))
        if until <= now:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return answer

    def put(self, key: Hashable, answer: Answer, until: float) -> None:
        self._kept[key] = (until, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
