"""What a request is about, as Kubernetes' authorizers see it.

The rules are those of apiserver/pkg/endpoints/request RequestInfoFactory, the words those of
apiserver/pkg/endpoints/handlers/responsewriters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..kube.fields import parse_fields
from ..kube.names import quoted
from ..kube.selectors import SelectorError
from ..kube.status import ApiError

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}

#: What may stand behind a namespace's name without being a resource in it.
_OF_NAMESPACES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Attributes:
    """
    :ivar path: of a request for no resource, ``""`` of any other.
    """

    verb: str
    path: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def for_review(self) -> dict[str, Any]:
        """As a SubjectAccessReview's spec has them."""
        if self.path:
            return {"nonResourceAttributes": {"path": self.path, "verb": self.verb}}
        told = {
            "namespace": self.namespace,
            "verb": self.verb,
            "group": self.group,
            "version": self.version,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
        }
        return {"resourceAttributes": {member: text for member, text in told.items() if text}}


def attributes_of(method: str, path: str, parameters: Mapping[str, str]) -> Attributes:
    """
    :param path: as it came, quoted.
    :param parameters: the first value of each.
    """
    whole = unquote(path)
    parts = [part for part in whole.split("/") if part]
    prefix, rest = (parts[0], parts[1:]) if parts else ("", [])
    group = ""
    if prefix == "apis" and len(parts) >= 3:
        group, *rest = rest
    if prefix not in ("api", "apis") or len(parts) < 3 or len(rest) < 2:
        # Here the API keeps to the method's own name.
        return Attributes(method.lower(), whole)
    version, *rest = rest
    verb = _VERBS.get(method, "")
    if rest[0] in ("watch", "proxy") and len(rest) > 1:
        verb, *rest = rest
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    if not name and verb in ("get", "list", "watch"):
        name = _named(parameters.get("fieldSelector", ""))
        watches = parameters.get("watch", "0").lower() not in ("0", "false")
        if verb == "get":
            verb = "watch" if watches else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Attributes(verb, "", group, version, resource, subresource, namespace, name)


def _named(selector: str) -> str:
    """The one name that a field selector asks for, ``""`` for none."""
    try:
        return parse_fields(selector).name
    except SelectorError:
        return ""


def forbidden(user: str, asked: Attributes, reason: str = "") -> ApiError:
    """
    :param reason: the authorizer's, ``""`` for none.
    """
    who = f"User {quoted(user)} cannot {asked.verb}"
    because = f": {reason}" if reason else ""
    if asked.path:
        what = f"{who} path {quoted(asked.path)}{because}"
        return ApiError(403, f"forbidden: {what}", details={})
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = "at the cluster scope"
    if asked.namespace:
        where = f"in the namespace {quoted(asked.namespace)}"
    what = f"{who} resource {quoted(resource)} in API group {quoted(asked.group)} {where}{because}"
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f"{qualified} {quoted(asked.name)}" if asked.name else qualified
    details = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    return ApiError(
        403,
        f"{named} is forbidden: {what}",
        details={member: text for member, text in details.items() if text},
    )


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized")
