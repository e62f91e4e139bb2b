"""Where two answers differ, once what cannot agree has been put aside.

That is little: an Age may be a second off, a continue token is an encoding of what must agree, and
"too old" names the oldest version that the server happens to know, and each has its own address.
Besides, the Emitter never shows
the Service ``default/kubernetes`` and can do less with an object.
"""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from .cases import Case, Kind
from .sides import Answer

_AGE = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")
_OLDEST = re.compile(r"(too old resource version: \d+) \(\d+\)")
_READING = {"get", "list", "watch"}


class Age(int):
    """Seconds of an Age cell: equal within two."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Age) and abs(int(self) - int(other)) <= 2

    def __ne__(self, other: object) -> bool:  # int has its own
        return not self == other

    __hash__ = int.__hash__


def normalised(answer: Answer, case: Case, served: frozenset[str]) -> dict[str, Any]:
    """What an answer says, in a form that can be compared.

    :param served: the resources of the Emitter, in discovery documents.
    """
    documents = [_known(one, served) for one in copy.deepcopy(answer.documents)]
    if case.kind is Kind.WATCH:
        documents = [document for document in documents if not _is_hidden(document)]
        _keep_first_columns(documents)
        documents = _without_repeated_bookmarks(documents)
    if case.unordered:
        documents = _sorted(documents, case.kind)
    told = {**answer.told(), "body": [_plain(document) for document in documents]}
    if case.kind is not Kind.WATCH:
        del told[
            "newline"
        ]  # at the end of a line of a stream it matters, of a document it does not
    return told


def differences(real: Any, emitter: Any, path: str = "") -> Iterator[str]:
    """One line for each place where the two are not the same."""
    if isinstance(real, dict) and isinstance(emitter, dict):
        for key in sorted({*real, *emitter}):
            if key not in emitter:
                yield f"{path}.{key}: real {_short(real[key])}, emitter has none"
            elif key not in real:
                yield f"{path}.{key}: real has none, emitter {_short(emitter[key])}"
            else:
                yield from differences(real[key], emitter[key], f"{path}.{key}")
    elif isinstance(real, list) and isinstance(emitter, list) and len(real) == len(emitter):
        for index, pair in enumerate(zip(real, emitter, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif real != emitter or type(real) is not type(emitter):
        yield f"{path}: real {_short(real)}, emitter {_short(emitter)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 900 else text[:900] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        made = {key: _plain(inner) for key, inner in value.items()}
        if isinstance(token := value.get("continue"), str) and token:
            made["continue"] = _decoded(token)
        if "serverAddress" in value:
            made["serverAddress"] = "its own"
        if isinstance(message := value.get("message"), str):
            made["message"] = _OLDEST.sub(r"\1 (…)", message)
        if value.get("kind") == "Table":
            _read_ages(made)
        return made
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _decoded(token: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        return token


def _read_ages(table: dict[str, Any]) -> None:
    """Age is the last column but for Selector; cells that are no age stay what they are."""
    for row in table.get("rows") or ():
        for index, cell in enumerate(row["cells"]):
            if isinstance(cell, str) and cell and (match := _AGE.fullmatch(cell)):
                row["cells"][index] = Age(int(match[1] or 0) * 60 + int(match[2] or 0))


def _known(document: Any, served: frozenset[str]) -> Any:
    """A document without what the Emitter does not serve."""
    if not isinstance(document, dict):
        return document
    if document.get("kind") == "APIResourceList":
        resources = [
            {**one, "verbs": [verb for verb in one["verbs"] if verb in _READING]}
            for one in document["resources"]
            if one["name"] in served
        ]
        return {**document, "resources": resources}
    if document.get("kind") == "APIGroupDiscoveryList":
        groups = [_known_group(group, served) for group in document["items"]]
        return {**document, "items": [group for group in groups if group["versions"]]}
    if document.get("kind") == "APIGroupList":
        known = {"discovery.k8s.io"} if "endpointslices" in served else set()
        groups = [one for one in document["groups"] or () if one["name"] in known]
        return {**document, "groups": groups}
    for name in ("items", "rows"):
        if isinstance(inner := document.get(name), list):
            return {**document, name: [one for one in inner if not _is_hidden(one)]}
    return document


def _known_group(group: Any, served: frozenset[str]) -> Any:
    """A group of aggregated discovery with what both sides serve of it."""
    versions = []
    for version in group["versions"]:
        resources = [
            {
                **{name: value for name, value in one.items() if name != "subresources"},
                "verbs": [verb for verb in one["verbs"] if verb in _READING],
            }
            for one in version["resources"]
            if one["resource"] in served
        ]
        if resources:
            versions.append({**version, "resources": resources})
    metadata = {n: v for n, v in group["metadata"].items() if n != "creationTimestamp"}
    return {**group, "metadata": metadata, "versions": versions}


def _is_hidden(thing: Any) -> bool:
    """Whether it is ``default/kubernetes``, as an object, a row or an event."""
    if not isinstance(thing, dict):
        return False
    if rows := (thing.get("rows") if thing.get("kind") == "Table" else None):
        return _is_hidden(rows[0])
    if isinstance(inner := thing.get("object"), dict):
        return _is_hidden(inner)
    metadata = thing.get("metadata") or {}
    return (metadata.get("namespace"), metadata.get("name")) == ("default", "kubernetes")


def _keep_first_columns(events: list[Any]) -> None:
    """The first event has a Table's columns; whether the second repeats them is a race in 1.20."""
    tables = [
        table
        for event in events
        if isinstance(event, dict)
        and isinstance(table := event.get("object"), dict)
        and table.get("kind") == "Table"
    ]
    columns = [table.pop("columnDefinitions", None) for table in tables]
    if columns:
        events.append({"columns": columns[0], "later": any(columns[2:])})


def _without_repeated_bookmarks(events: list[Any]) -> list[Any]:
    """Near a deadline kube-apiserver sends one or two, as its clock will have it."""
    kept: list[Any] = []
    for event in events:
        repeated = kept and isinstance(event, dict) and event.get("type") == "BOOKMARK"
        if not (repeated and event == kept[-1]):
            kept.append(event)
    return kept


def _sorted(documents: list[Any], kind: Kind) -> list[Any]:
    by_text: Callable[[Any], str] = lambda one: json.dumps(_identity(one))  # noqa: E731
    if kind is Kind.WATCH:
        return sorted(documents, key=by_text)
    made = []
    for document in documents:
        for name in ("items", "rows"):
            if isinstance(document, dict) and isinstance(document.get(name), list):
                document = {**document, name: sorted(document[name], key=by_text)}  # noqa: PLW2901
        made.append(document)
    return made


def _identity(thing: Any) -> list[str]:
    if isinstance(thing, dict):
        if thing.get("kind") == "Table" and thing.get("rows"):
            return _identity(thing["rows"][0])
        if isinstance(inner := thing.get("object"), dict):
            return _identity(inner)
        metadata = thing.get("metadata") or {}
        return [metadata.get("namespace", ""), metadata.get("name", "")]
    return []
