"""Bugs made on purpose: each is to be found by the simulation, or its questions prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from servicereflector.client.http import KubeClient
from servicereflector.kube.status import ApiError
from servicereflector.kube.watchevents import ErrorEvent, EventType
from servicereflector.listwatch import machine
from servicereflector.listwatch.informer import Informer
from servicereflector.listwatch.machine import ListWatch, Watch
from servicereflector.mirror.breaker import Breaker
from servicereflector.program import Program
from servicereflector.reflector.controller import Controller
from servicereflector.reflector.queue import WorkQueue
from servicereflector.reflector.sources import Source
from servicereflector.store.views import View

from .schedule import Act, Schedule

#: Makes a function of another: what stands in its place.
_Change = Callable[[Any], Any]

MUTANTS: dict[str, Callable[[], AbstractContextManager[None]]] = {}


def _mutant(owner: Any, name: str) -> Callable[[_Change], None]:
    """Register a change of ``owner.name`` under the change's own name."""

    def register(change: _Change) -> None:
        @contextmanager
        def changed() -> Iterator[None]:
            usual = owner.__dict__[name]
            setattr(owner, name, change(usual))
            try:
                yield
            finally:
                setattr(owner, name, usual)

        MUTANTS[change.__name__.lstrip("_").replace("_", " ")] = changed

    return register


@_mutant(Informer, "_carry_out")
def _a_deletion_is_not_heard(usual: Any) -> Any:
    def carry_out(self: Informer, effects: list[Any]) -> None:
        usual(
            self,
            [
                e
                for e in effects
                if not (
                    isinstance(e, machine.Apply)
                    and getattr(e.event, "type", None) is EventType.DELETED
                )
            ],
        )

    return carry_out


@_mutant(KubeClient, "delete")
def _deletes_have_no_preconditions(usual: Any) -> Any:
    async def delete(self: Any, resource: Any, namespace: str, name: str, **_: str) -> None:
        await usual(self, resource, namespace, name)

    return delete


@_mutant(KubeClient, "update")
def _updates_have_no_version(usual: Any) -> Any:
    async def update(self: Any, resource: Any, obj: dict[str, Any]) -> Any:
        metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "uid")}
        return await usual(self, resource, {**obj, "metadata": metadata})

    return update


@_mutant(Source, "synced")
def _a_source_that_is_not_listed_counts_as_empty(_usual: Any) -> Any:
    return property(lambda _self: True)


@_mutant(ListWatch, "_watch")
def _a_watch_begins_one_version_too_late(usual: Any) -> Any:
    def watch(self: ListWatch, now: float) -> list[Any]:
        return [
            Watch(e.request, e.version + 1, e.timeout_seconds) if isinstance(e, Watch) else e
            for e in usual(self, now)
        ]

    return watch


@_mutant(ListWatch, "_unusable")
def _a_410_leads_to_no_list(_usual: Any) -> Any:
    return lambda _self, _error: False


@_mutant(ListWatch, "event")
def _an_error_event_leads_to_no_list(usual: Any) -> Any:
    def event(self: ListWatch, request: int, event: Any, now: float) -> list[Any]:
        if isinstance(event, ErrorEvent):
            event = ErrorEvent(ApiError(500, event.error.message))
        return usual(self, request, event, now)

    return event


@_mutant(Informer, "_failed")
def _a_list_that_fails_counts_as_empty(usual: Any) -> Any:
    def failed(self: Informer, failure: Any, request: int) -> None:
        if isinstance(failure.value, ApiError) and self._machine.state is machine.State.LISTING:
            self.store.replace((), self.store.version)
        usual(self, failure, request)

    return failed


@_mutant(ListWatch, "_begin")
def _nothing_is_ever_idle(usual: Any) -> Any:
    def begin(self: ListWatch, state: Any, now: float) -> None:
        usual(self, state, now)
        self._timing = machine.Timing(idle=1e9, watch=self._timing.watch)
        self.deadline = now + 1e9

    return begin


@_mutant(WorkQueue, "retry")
def _what_failed_is_not_tried_again(_usual: Any) -> Any:
    return lambda _self, _key, _now: 0.0


@_mutant(View, "lost")
def _a_stream_survives_a_new_list(_usual: Any) -> Any:
    return lambda _self, _cursor: None


@_mutant(Controller, "stopService")
def _timers_are_left_behind(usual: Any) -> Any:
    def stop(self: Controller) -> Any:
        self._reactor.callLater(3600, lambda: None)
        return usual(self)

    return stop


@_mutant(Controller, "_pump")
def _one_source_holds_up_all(usual: Any) -> Any:
    def pump(self: Controller) -> None:
        if all(informer.stats.connected for informer in self.parent.informers):
            usual(self)
        else:
            self._pumping = None
            self._pump_soon(1.0)

    return pump


@_mutant(Breaker, "listed")
def _any_list_is_believed(_usual: Any) -> Any:
    return lambda _self, _source, _mirrors, _missing, _now: False


@_mutant(Breaker, "held")
def _what_is_held_is_deleted(_usual: Any) -> Any:
    return lambda _self, _source, _key, _now: False


@_mutant(Program, "stopService")
def _the_program_never_stops(_usual: Any) -> Any:
    from twisted.internet.defer import Deferred

    return lambda _self: Deferred()


_ONE = ((), (0,))
_TWO = ((), (), (0, 1))
_WAIT: Act = ("wait", 30, 0, 0, 0)


def _shown(
    *acts: Act, sources: Sequence[tuple[int, ...]] = _ONE, keys: int = 2, page: int = 500
) -> Schedule:
    there = tuple((0, key) for key in range(keys))
    return Schedule(0, tuple(sources), 2, page, -1, there, (_WAIT, *acts))


_EXPIRE: Act = ("expire", 50, 0, 0, 0)
_SHORT: Act = ("short_list", 300, 0, 2, 34)

#: The least that shows each of them; without it, all is well.
SHOWN_BY: dict[str, Schedule] = {
    "a deletion is not heard": _shown(("cut", 0, 4, 0, 0), ("delete", 50, 0, 0, 0)),
    "deletes have no preconditions": _shown(("sabotage", 0, 1, 3, 0), ("delete", 50, 0, 0, 0)),
    "updates have no version": _shown(("sabotage", 0, 1, 3, 0), ("put", 50, 0, 0, 2)),
    "a source that is not listed counts as empty": _shown(
        ("refuse", 0, 4, 1, 34), ("kill", 0, 1, 0, 2), ("wait", 200, 0, 0, 0)
    ),
    "a watch begins one version too late": _shown(("cut", 50, 4, 0, 0), ("withdraw", 50, 0, 0, 0)),
    "a 410 leads to no list": _shown(("gone", 0, 4, 0, 0), ("put", 50, 0, 4, 2)),
    "an error event leads to no list": _shown(_EXPIRE, ("put", 50, 0, 4, 2)),
    "a list that fails counts as empty": _shown(
        ("take", 30, 0, 0, 2), ("gone_continue", 30, 4, 0, 13), _EXPIRE, keys=3, page=2
    ),
    "nothing is ever idle": _shown(("half_open", 0, 4, 2, 0), ("put", 50, 0, 0, 2)),
    "what failed is not tried again": _shown(("errors", 0, 3, 0, 8), ("put", 50, 0, 0, 2)),
    "a stream survives a new list": _shown(_EXPIRE, ("put", 50, 0, 4, 2)),
    "timers are left behind": _shown(("stop", 0, 1, 0, 95)),
    "one source holds up all": _shown(
        ("wait", 200, 0, 0, 0),
        ("refuse", 0, 1, 1, 34),
        ("put", 60, 0, 3, 2),
        _WAIT,
        sources=_TWO,
    ),
    "any list is believed": _shown(_SHORT, keys=4),
    "what is held is deleted": _shown(_SHORT, keys=4),
    "the program never stops": _shown(("cut", 0, 4, 0, 0)),
}
