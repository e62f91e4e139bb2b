"""In which form a client wants its answer, read out of Accept as kube-apiserver reads it.

Two readers look at the header, one after the other. The router (go-restful) lets a request pass if
any of the types is one that it knows. The handlers (apiserver's negotiation.go) then go through the
clauses by quality and take the first that they can serve whole, its parameters included. Each
refuses in its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from ..kube.names import quoted
from ..kube.resources import Resource
from ..kube.status import ApiError, bad_request
from .accept import Clause, Target, clauses, is_routed
from .yamldump import dump_yaml

Serialization = Literal["json", "yaml"]
Transform = Literal["", "Table", "PartialObjectMetadata", "APIGroupDiscoveryList"]
Version = Literal["v1", "v1beta1", "v2"]
IncludeObject = Literal["Metadata", "Object", "None"]

_JSON, _YAML = "application/json", "application/yaml"
_PROTOBUF = "application/vnd.kubernetes.protobuf"

#: What kube-apiserver serves; all but protobuf is served here.
_REPRESENTATIONS = (_JSON, _YAML, _PROTOBUF)
_STREAMS = (f"{_JSON};stream=watch", f"{_PROTOBUF};stream=watch")

#: The minor version from which the router's refusal tells what there is (with go-restful v3).
_ROUTER_TELLS = 25

#: The minor version from which apidiscovery.k8s.io/v2 is served.
AGGREGATES = 30

_INCLUDE: Mapping[str, IncludeObject] = {
    "": "Metadata",
    "Metadata": "Metadata",
    "Object": "Object",
    "None": "None",
}


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written. Equal forms of the same answer have the same bytes.

    :ivar transform: ``""`` for the objects as they are. ``PartialObjectMetadata`` of a list is a
        PartialObjectMetadataList.
    :ivar version: of the transform's API group.
    :ivar include_object: what a Table's rows hold of their objects.
    """

    serialization: Serialization = "json"
    transform: Transform = ""
    version: Version = "v1"
    pretty: bool = False
    include_object: IncludeObject = "Metadata"

    @property
    def content_type(self) -> str:
        """Tables have that of any JSON; only aggregated discovery tells what it is."""
        told = f"application/{self.serialization}"
        if self.transform == "APIGroupDiscoveryList":
            return f"{told};g=apidiscovery.k8s.io;v={self.version};as={self.transform}"
        return told


def negotiate(
    accept: str,
    *,
    user_agent: str,
    parameters: Mapping[str, str],
    watch: bool,
    collection: bool,
    resource: Resource | None = None,
) -> Form:
    """The form of a get, list or watch that the router has let pass.

    :param accept: the header, ``""`` where there is none.
    :param parameters: the query's first value of each.
    :param collection: whether the path is a collection's.
    :param resource: named in one of the refusals.
    :raises ApiError: 406, or 400 for an unknown ``includeObject``.
    """
    clause, serialization = _choose_or_refuse(accept, _is_transform)
    transform, version = _transform(clause, watch, collection, resource)
    include = parameters.get("includeObject", "") if transform == "Table" else ""
    if include not in _INCLUDE:
        raise bad_request(
            "Unable to convert to Table as requested: includeObject: Invalid value: "
            f"{quoted(include)}: must be 'Metadata', 'Object', 'None', or empty"
        )
    if watch and serialization != "json":
        raise _only(_STREAMS)
    pretty = not watch and _pretty(serialization, clause, user_agent, parameters)
    return Form(serialization, transform, version, pretty, _INCLUDE[include])


def negotiate_discovery(
    accept: str,
    *,
    user_agent: str,
    parameters: Mapping[str, str],
    minor: int,
    aggregated: bool,
    routed: bool,
) -> Form:
    """The form of a discovery document.

    :param aggregated: whether it may be aggregated: of ``/api`` and ``/apis``, not below them.
        It is then preferred, wherever it stands in the header.
    :param routed: whether the router looks at the header too: not at that of ``/apis``.
    :raises ApiError: 406.
    """
    if routed:
        route(accept, minor)
    chosen = _choose(accept, _is_aggregated) if aggregated and minor >= AGGREGATES else None
    if chosen is not None:
        clause, serialization = chosen
        pretty = _pretty(serialization, clause, user_agent, parameters)
        return Form(serialization, "APIGroupDiscoveryList", "v2", pretty)
    clause, serialization = _choose_or_refuse(accept, _is_plain)
    return Form(serialization, pretty=_pretty(serialization, clause, user_agent, parameters))


def error_form(accept: str, *, user_agent: str, parameters: Mapping[str, str]) -> Form:
    """The form of a Status: indented JSON for whoever takes nothing but transforms."""
    chosen = _choose(accept, _is_plain)
    if chosen is None:
        return Form(pretty=True)
    clause, serialization = chosen
    return Form(serialization, pretty=_pretty(serialization, clause, user_agent, parameters))


def encode(document: object, form: Form) -> bytes:
    """The body of an answer in the form's serialization; the transform has been done before."""
    if form.serialization == "yaml":
        return dump_yaml(document)
    if form.pretty:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return orjson.dumps(document) + b"\n"


def route_to_resource(accept: str, minor: int, *, collection: bool) -> None:
    """As :func:`route`, to a collection or an object."""
    route(accept, minor, _REPRESENTATIONS, _STREAMS if collection else ())


def route(
    accept: str,
    minor: int,
    served: tuple[str, ...] = _REPRESENTATIONS,
    streams: tuple[str, ...] = (),
) -> None:
    """Refuse as the router does.

    :raises ApiError: 406, where none of the types in the header is served.
    """
    if is_routed(accept, served):
        return
    message = "406: Not Acceptable"
    if minor >= _ROUTER_TELLS:
        message += f"\n\nAvailable representations: {', '.join(served + streams)}"
    raise ApiError(406, message, details={})


_Allowed = Callable[[Target | None], bool]


def _is_plain(target: Target | None) -> bool:
    return target is None


def _is_aggregated(target: Target | None) -> bool:
    return target == ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")


def _is_transform(target: Target | None) -> bool:
    if target is None:
        return True
    group, version, kind = target
    return (
        group == "meta.k8s.io"
        and version in ("v1", "v1beta1")
        and kind in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
    )


def _choose(accept: str, allowed: _Allowed) -> tuple[Clause, Serialization] | None:
    """The best clause that can be served, and the serialization that it gets."""
    for clause in clauses(accept or "*/*"):
        if not allowed(clause.target) or clause.parameters.get("sv", "") not in ("", "v1"):
            continue
        stream = clause.parameters.get("stream", "")
        if clause.accepts(_JSON) and stream in ("", "watch"):
            return clause, "json"
        if clause.accepts(_YAML) and not stream:
            return clause, "yaml"
    return None


def _choose_or_refuse(accept: str, allowed: _Allowed) -> tuple[Clause, Serialization]:
    chosen = _choose(accept, allowed)
    if chosen is not None:
        return chosen
    if any(f"{clause.type}/{clause.subtype}" == _PROTOBUF for clause in clauses(accept)):
        # kube-apiserver would have served it: do not tell who asked for it that it is accepted.
        raise _only((_JSON, _YAML))
    raise _only(_REPRESENTATIONS)


def _only(media_types: tuple[str, ...]) -> ApiError:
    told = ", ".join(media_types)
    return ApiError(406, f"only the following media types are accepted: {told}")


def _transform(
    clause: Clause, watch: bool, collection: bool, resource: Resource | None
) -> tuple[Transform, Version]:
    """
    :raises ApiError: 406 where the metadata of a list is asked for as of an object, or reversed.
    """
    if clause.target is None:
        return "", "v1"
    _, told, kind = clause.target
    version: Version = "v1beta1" if told == "v1beta1" else "v1"
    if kind == "Table":
        return "Table", version
    wants_list = kind == "PartialObjectMetadataList"
    if watch:
        # No event holds a list. The objects are sent as they are.
        return ("", "v1") if wants_list else ("PartialObjectMetadata", version)
    if wants_list != collection:
        what = "a list" if collection else "not a list"
        raise ApiError(
            406,
            f"you requested {kind}, but the requested object is {what}"
            + _go_type(resource, collection),
        )
    return "PartialObjectMetadata", version


def _go_type(resource: Resource | None, collection: bool) -> str:
    """Go's name of the internal type, which kube-apiserver's refusal gives away."""
    if resource is None:
        return ""
    package = resource.group.partition(".")[0] or "core"
    return f" (*{package}.{resource.list_kind if collection else resource.kind})"


def _pretty(
    serialization: Serialization, clause: Clause, user_agent: str, parameters: Mapping[str, str]
) -> bool:
    if serialization != "json":
        return False
    if clause.parameters.get("pretty") == "1":
        return True
    if told := parameters.get("pretty", ""):
        return told in ("1", "t", "T", "TRUE", "true", "True")
    return user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))
