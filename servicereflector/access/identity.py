"""Users, as Kubernetes knows them: names and groups that somebody vouches for."""

from __future__ import annotations

from dataclasses import dataclass

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"


class AccessError(ValueError):
    """One line: what of a file cannot be used, and why; no secret is in it."""


@dataclass(frozen=True, slots=True)
class User:
    """
    :ivar extra: what authenticators of the cluster tell beside, by sorted keys.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))


def authenticated(user: User) -> User:
    """The user with the group of all who are known."""
    if AUTHENTICATED in user.groups or user.name == ANONYMOUS.name:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)
