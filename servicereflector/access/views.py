"""The file of ``--emitter.views``: who is shown which namespaces, and which objects of them.

::

    views:
    - users: [west]
      groups: [edge]
      namespaces: [shop, team-*]
      selector: tier=public

A view is for any of its users and of the members of its groups. Without ``namespaces`` it holds all
of them, without ``selector`` all objects. Who has several views sees what any of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..kube.globs import is_glob
from ..kube.selectors import LabelSelector, SelectorError, parse_labels
from ..store.scope import EVERYTHING, Part, Scope
from .identity import AccessError, User

_MEMBERS = ("users", "groups", "namespaces", "selector")


@dataclass(frozen=True, slots=True)
class View:
    users: frozenset[str]
    groups: frozenset[str]
    part: Part

    def is_for(self, user: User) -> bool:
        return user.name in self.users or not self.groups.isdisjoint(user.groups)


@dataclass(frozen=True, slots=True)
class Views:
    views: tuple[View, ...]

    def scope_of(self, user: User) -> Scope | None:
        """What exists for the user; None for one without a view."""
        # In one order, so that who sees the same shares what is made for it.
        parts = dict.fromkeys(view.part for view in self.views if view.is_for(user))
        if not parts:
            return None
        return EVERYTHING if Part() in parts else Scope(tuple(parts))


def parse_views_file(content: bytes) -> Views:
    """
    :raises AccessError: as :func:`parse_views` does.
    """
    return parse_views(content.decode("utf-8-sig"))


def parse_views(text: str) -> Views:
    """
    :raises AccessError: naming the view by its number, from 1 on.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise AccessError(f"not YAML (line {mark.line + 1})" if mark else "not YAML") from None
    except Exception:  # a date without such a day is a ValueError, and there are others
        raise AccessError("not YAML") from None
    views = document.get("views") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(views, list) or len(document) > 1:
        raise AccessError("say views: and a list of mappings")
    return Views(tuple(_view(number, view) for number, view in enumerate(views, 1)))


def _view(number: int, told: object) -> View:
    place = f"view {number}"
    if not isinstance(told, dict):
        raise AccessError(f"{place} is no mapping")
    for member in told:
        if member not in _MEMBERS:
            raise AccessError(f"{place}: unknown member {member!r}: one of {', '.join(_MEMBERS)}")
    users, groups = (frozenset(_texts(told, name, place)) for name in ("users", "groups"))
    if not users and not groups:
        raise AccessError(f"{place} is for nobody: say users or groups")
    namespaces = _texts(told, "namespaces", place)
    for one in namespaces:
        if not is_glob(one):
            raise AccessError(f"{place}: namespace {one!r} is no pattern: say a name, with * or ?")
    if "namespaces" in told and not namespaces:
        raise AccessError(f"{place}: namespaces is empty: leave it out for all of them")
    return View(users, groups, Part(namespaces, _selector(told.get("selector", ""), place)))


def _texts(told: Mapping[Any, Any], member: str, place: str) -> tuple[str, ...]:
    texts = told.get(member, [])
    if not isinstance(texts, list) or not all(isinstance(t, str) and t for t in texts):
        raise AccessError(f"{place}: {member} is no list of strings")
    return tuple(texts)


def _selector(text: object, place: str) -> LabelSelector:
    if not isinstance(text, str):
        raise AccessError(f"{place}: selector is no string")
    try:
        return parse_labels(text)
    except SelectorError as error:
        raise AccessError(f"{place}: {text!r} is no label selector: {error}") from None
