"""What is in a namespace, asked of the host resource by resource.

At most one request is under way. Whatever goes wrong is told as :class:`Kept`: what is not known
keeps the namespace.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.resources import Resource
from ..kube.status import ApiError
from ..mirror.emptiness import TOKEN_TYPE, belongs_to_nobody, name_of
from ..mirror.inventory import Unclear, group_versions, listable, page_of, parsed

#: Objects asked for at a time. What Kubernetes puts into a namespace fits in.
PAGE = 10
#: Pages with nothing but that, after which it is not known what follows.
MOST_PAGES = 20

_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

#: Characters that are told of an error.
_MOST_WORDS = 300

_T = TypeVar("_T")

_log = Logger()


class Api(Protocol):
    """What is needed of a client; errors are ApiError or the transport's own."""

    def request(
        self, method: str, path: str, *, accept: str = ...
    ) -> Coroutine[Any, Any, bytes]: ...


class Kept(Exception):
    """Why a namespace is kept: a clause to follow "as".

    :ivar gist: what it comes to, where a name or a count in the words may change.
    """

    def __init__(self, gist: object, words: str) -> None:
        super().__init__(words)
        self.gist = gist


@dataclass(frozen=True, slots=True)
class Found:
    """
    :ivar names: of the objects that are somebody's, such as ``ConfigMap settings``.
    :ivar more: whether there are objects that were not looked at.
    """

    names: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    """One list of one resource.

    :ivar implied: what the selector says of every object of the answer.
    """

    accept: str = f"{_METADATA},{_JSON}"
    selector: str = ""
    implied: Mapping[str, str] = field(default_factory=dict)


#: By group and plural. Of Secrets there is to be no answer but their metadata; the selector tells
#: their type. Of a ServiceAccount that is not enough, and it holds nothing secret.
_QUESTIONS = {
    ("", "secrets"): (
        _Question(_METADATA, f"type!={TOKEN_TYPE}"),
        _Question(_METADATA, f"type={TOKEN_TYPE}", {"type": TOKEN_TYPE}),
    ),
    ("", "serviceaccounts"): (_Question(_JSON),),
}


async def known(what: str, verb: str, work: Awaitable[_T]) -> _T:
    """The result of the work.

    :param what: a clause that says what it means that there is none.
    :param verb: the right that the work needs, such as ``list secrets``.
    :raises Kept: whatever goes wrong, so that one namespace does not hold up the others.
    """
    try:
        return await work
    except (CancelledError, Kept):
        raise
    except Exception as error:
        _log.debug("{what}", what=what, log_failure=Failure())
        words = f"{what}: {(str(error) or type(error).__name__)[:_MOST_WORDS]}"
        code = error.code if isinstance(error, ApiError) else 0
        if code == 403:
            words += (
                f"; --reflector.delete-namespaces needs a role that may {verb},"
                " see manifests/delete-namespaces.yaml"
            )
        raise Kept((what, code or type(error).__name__), words) from None


async def resources_of(api: Api) -> tuple[Resource, ...]:
    """All that the host serves of which there can be something in a namespace.

    One API that is away is enough not to know that. Kubernetes itself does not finish the deletion
    of a namespace then.

    :raises Kept: where that is not known.
    """

    async def ask(path: str) -> object:
        async def answer() -> object:
            return parsed(await api.request("GET", path, accept=_JSON))

        what = f"what the host serves at {path} is not known"
        return await known(what, f"get {path}", answer())

    async def discover() -> tuple[Resource, ...]:
        documents = []
        for group, version in group_versions(await ask("/apis")):
            root = Resource(group, version, "", "", "").root
            documents.append((group, version, await ask(root)))
        return listable(documents)

    return await known("what the host serves is not known", "get /apis", discover())


async def found_in(api: Api, namespace: str, resource: Resource) -> Found:
    """What there is of one resource that is somebody's.

    :raises Kept: where that is not known.
    """

    async def look() -> Found:
        for question in _QUESTIONS.get((resource.group, resource.plural), (_Question(),)):
            found = await _answer(api, resource.path(namespace), resource, question)
            if found.names:
                return found
        return Found()

    what = f"whether {resource.qualified} are in it is not known"
    return await known(what, f"list {resource.qualified}", look())


async def _answer(api: Api, path: str, resource: Resource, question: _Question) -> Found:
    """The first page that has something of somebody's."""
    token = ""
    for _ in range(MOST_PAGES):
        told = {"limit": PAGE, "fieldSelector": question.selector, "continue": token}
        query = urlencode({name: value for name, value in told.items() if value})
        page = page_of(await api.request("GET", f"{path}?{query}", accept=question.accept))
        names = [
            name_of(resource, item)
            for item in ({**item, **question.implied} for item in page.items)
            if not belongs_to_nobody(resource.group, resource.plural, item)
        ]
        token = page.continue_token
        if names or not token:
            return Found(tuple(names), bool(token))
    raise Unclear(f"there are more than {MOST_PAGES * PAGE}")
