"""``service-reflector plan``: what the program would do, and nothing of it done."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import orjson
import yaml
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .kube.objects import Json
from .kube.resources import ENDPOINTS, SERVICES
from .mirror.plan import Action, Create, Delete, Plan, Update, describe
from .mirror.states import HostState, State
from .program import Program

#: Seconds between two looks at whether everything is listed.
_INTERVAL = 0.1

#: The status of the process: as of terraform plan -detailed-exitcode.
UNCHANGED, FAILED, CHANGES = 0, 1, 2

#: Members of metadata that the API server sets.
_SERVER_SET = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


class Planner(Service):
    """Waits until the host and the sources are listed, prints what would be done, and ends.

    :param complete: whether all sources are known.
    :param timeout: seconds after which a source that was not listed is left out, and the host given
        up.
    :param ended: called with the status of the process.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        program: Program,
        *,
        complete: Callable[[], bool],
        timeout: float,
        as_json: bool,
        out: TextIO,
        err: TextIO,
        ended: Callable[[int], None],
    ) -> None:
        assert program.controller is not None
        self._controller = program.controller
        self._controller.may_write = lambda: False
        self._reactor = reactor
        self._program = program
        self._complete = complete
        self._timeout = timeout
        self._as_json = as_json
        self._out = out
        self._err = err
        self._ended = ended
        self._timer: IDelayedCall | None = None
        self._deadline = 0.0

    def startService(self) -> None:
        Service.startService(self)
        self._deadline = self._reactor.seconds() + self._timeout
        self._look()

    def stopService(self) -> None:
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        late = self._reactor.seconds() >= self._deadline
        waiting = [s.name for s in self._controller.fleet.sources if not s.synced]
        features = self._controller.features()
        if not late and (waiting or features is None or not self._complete()):
            self._timer = self._reactor.callLater(_INTERVAL, self._look)
            return
        if features is None:
            problem = self._program.problem() or "the host was not listed"
            self._say(f"within {self._timeout:g} s: {problem}")
            self._ended(FAILED)
            return
        for name in waiting:
            self._say(f"source {name!r} was not listed within {self._timeout:g} s: nothing of it")
        while self._controller.fleet.review():
            pass
        plans = {key: self._controller.plan(key, features) for key in self._controller.all_keys()}
        self._print(plans)
        self._ended(CHANGES if any(plan.actions for plan in plans.values()) else UNCHANGED)

    def _print(self, plans: dict[str, Plan]) -> None:
        hosts = {key: self._controller.host.state(key) for key in plans}
        if self._as_json:
            told = {"plans": [as_json(key, plan, hosts[key]) for key, plan in plans.items()]}
            self._out.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            lines = (line for key, plan in plans.items() for line in as_text(plan, hosts[key]))
            self._out.writelines(f"{line}\n" for line in (*lines, summary(plans.values())))
        self._out.flush()

    def _say(self, message: str) -> None:
        self._err.write(f"service-reflector: {message}\n")


def as_json(key: str, plan: Plan, host: HostState) -> dict[str, Any]:
    """The plan of one name."""
    return {
        "key": key,
        "rule": plan.rule,
        "owner": plan.owner,
        "actions": [_action_json(action, host) for action in plan.actions],
        "statuses": {
            name: {"state": status.state.value, "reason": status.reason}
            for name, status in plan.statuses.items()
        },
    }


def _action_json(action: Action, host: HostState) -> dict[str, Any]:
    told: dict[str, Any] = {"action": describe(action)}
    if isinstance(action, Create):
        told["document"] = action.document
    if isinstance(action, Update):
        told["diff"] = list(diff(_actual(action, host), action.document))
    return told


def as_text(plan: Plan, host: HostState) -> Iterator[str]:
    """The lines that tell of a plan: none where all is as it should be."""
    marks = {Create: "+", Update: "~", Delete: "-"}
    for number, action in enumerate(plan.actions):
        why = f"  ({plan.rule})" if number == 0 else ""
        yield f"{marks[type(action)]} {describe(action)}{why}"
        if isinstance(action, Update):
            yield from (f"    {line}" for line in diff(_actual(action, host), action.document))
    for name, status in plan.statuses.items():
        if status.noteworthy or status.state in (State.CONFLICT, State.HELD):
            yield f"! {status.state.value} of {name}: {status.reason}"


def summary(plans: Iterable[Plan]) -> str:
    """All of it in one line."""
    kinds = [type(action) for plan in plans for action in plan.actions]
    if not kinds:
        return "Nothing to do: the host is as it should be."
    creates, updates, deletes = (kinds.count(kind) for kind in (Create, Update, Delete))
    return f"{creates} to create, {updates} to update, {deletes} to delete. Nothing was written."


def diff(before: Json, after: Json) -> Iterator[str]:
    """What an update changes, as a unified diff of YAML."""
    old, new = (yaml.safe_dump(_told(document)).splitlines() for document in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=2)
    return (line for line in lines if not line.startswith(("---", "+++", "@@")))


def _told(document: Json) -> Json:
    metadata = {k: v for k, v in document["metadata"].items() if k not in _SERVER_SET}
    return {**document, "metadata": metadata}


def _actual(action: Update, host: HostState) -> Json:
    if action.resource is SERVICES and host.service is not None:
        return host.service.document()
    if action.resource is ENDPOINTS and host.endpoints is not None:
        return host.endpoints.document()
    name = action.document["metadata"]["name"]
    return next(record.document() for record in host.slices if record.name == name)
