"""A case: one request, or a few that belong together, as a value.

``path`` and ``query`` may name ``{all}`` and ``{ns}`` (the collection in all namespaces, and in the
one of the cases), ``{group}`` (the root of the group version) and the versions of
:class:`~differential.world.World`: ``{floor}``, ``{created}``, ``{moved}``, ``{now}``,
``{future}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """How a case is asked, and read."""

    #: One request, one body.
    ONCE = "once"
    #: As many requests as there are continue tokens, with ``act`` after the first.
    PAGES = "pages"
    #: A stream, with ``act`` once both sides have answered the headers.
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Case:
    """
    :ivar act: what happens in the cluster meanwhile, by the name of a method of World.
    :ivar events: of a watch: how many are read; 0 for all until the server ends it.
    :ivar unordered: the items or events come in no order (1.20 iterates over a map).
    :ivar only: of which resources, where it is not all.
    :ivar since: the first minor version of kube-apiserver with which it can agree.
    """

    name: str
    path: str = "{ns}"
    query: str = ""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = Kind.ONCE
    act: str = ""
    events: int = 0
    unordered: bool = False
    only: tuple[str, ...] = ()
    since: int = 0


def watch(
    name: str,
    query: str = "",
    *,
    path: str = "{ns}",
    act: str = "",
    events: int = 0,
    **rest: object,
) -> Case:
    """A watch; where no number of events is told, one of a second."""
    asked = [path_is_watch(path), query, "" if events else "timeoutSeconds=1"]
    if "timeoutSeconds" in query:
        asked.pop()
    return Case(
        name,
        path,
        "&".join(filter(None, asked)),
        kind=Kind.WATCH,
        act=act,
        events=events,
        **rest,  # type: ignore[arg-type]  # the fields of Case, as they are
    )


def path_is_watch(path: str) -> str:
    """What makes a request a watch: nothing more, where the path says it."""
    return "" if "/watch/" in path else "watch=true"


def accept(value: str) -> dict[str, str]:
    return {"Accept": value}


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
PROTOBUF = "application/vnd.kubernetes.protobuf"
