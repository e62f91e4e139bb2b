"""Every case of the tables, to both sides, and what differs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from versions import minor_version

from . import discovery, errors, lists, negotiation, selectors, watches
from .asking import ask, compare
from .cases import Case
from .conftest import resources
from .world import World

#: Under this name they are counted.
AGREE = "differential: cases that agree with kube-apiserver"

_BY_TOPIC: dict[str, tuple[Case, ...]] = {
    "lists": lists.CASES,
    "watches": watches.CASES,
    "selectors": selectors.CASES,
    "negotiation": negotiation.CASES,
    "errors": errors.CASES,
}

_OF_NO_RESOURCE: dict[str, tuple[Case, ...]] = {
    "discovery": discovery.CASES,
    "paths": errors.PATHS,
}


def _parameters() -> list[object]:
    minor = minor_version()
    found = [
        pytest.param(resource.plural, case, id=f"{resource.plural}-{topic}-{case.name}"[:90])
        for resource in resources()
        for topic, cases in _BY_TOPIC.items()
        for case in cases
        if minor >= case.since and (not case.only or resource.plural in case.only)
    ]
    for topic, cases in _OF_NO_RESOURCE.items():
        found += [
            pytest.param("", case, id=f"{topic}-{case.name}")
            for case in cases
            if minor >= case.since
        ]
    return found


@pytest.mark.parametrize(("plural", "case"), _parameters())
def test_the_emitter_answers_as_kube_apiserver_does(
    plural: str,
    case: Case,
    worlds: dict[str, World],
    record_property: Callable[[str, object], None],
) -> None:
    record_property(AGREE, plural or "discovery, paths")
    world = worlds[plural or "services"]
    served = frozenset(worlds)
    for _ in range(3):
        settled = world.settle()
        answers = ask(case, world)
        found = compare(case, answers, served)
        # Newer servers write leases of their own meanwhile: ask again.
        if not found or world.real.version_of(world.all) == settled:
            break
    target = world.target(case.path, case.query)
    told = [json.dumps([one.told() for one in side], ensure_ascii=False) for side in answers]
    message = "\n".join(
        [
            f"{case.method} {target} {dict(case.headers)}",
            *found[:20],
            "real    " + told[0][:3000],
            "emitter " + told[1][:3000],
        ]
    )
    assert not found, message
