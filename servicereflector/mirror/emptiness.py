"""Whether a namespace is empty of all that a person may have put there.

What is not known to come with every namespace is somebody's. A cluster that puts more into its
namespaces, as OpenShift does with RoleBindings and Istio with a ConfigMap, therefore keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..kube.annotations import PREFIX
from ..kube.objects import Json
from ..kube.resources import Resource
from .inventory import NOTES

#: The type of the Secrets by which Pods authenticate; before 1.24 every ServiceAccount has one.
TOKEN_TYPE = "kubernetes.io/service-account-token"

#: Of as many objects people are told the names.
FEW = 3

#: What the API server itself sets in a metadata; labels and annotations are looked at apart.
_USUAL = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation"}
    | {"managedFields", "selfLink", "labels", "annotations"}
)

_ACCOUNT = "kubernetes.io/service-account.name"
_TOKEN_ANNOTATIONS = frozenset({_ACCOUNT, "kubernetes.io/service-account.uid"})
#: Since 1.26.
_TOKEN_LABELS = frozenset(
    {"kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"}
)
_TOKEN_FIELDS = frozenset({"data.ca.crt", "data.namespace", "data.token", "type"})
#: As the tokens' controller names them. A token that a person has asked for has another name.
_TOKEN_NAME = re.compile(r"default-token-[a-z0-9]{5}")

_CA_ANNOTATIONS = frozenset({"kubernetes.io/description"})  # since 1.21
_CA_FIELDS = frozenset({"data.ca.crt"})


def belongs_to_nobody(group: str, plural: str, item: Json) -> bool:
    """Whether Kubernetes puts this into every namespace, and nobody has added anything to it.

    :param item: a PartialObjectMetadata; a ServiceAccount as a whole; a Secret with its ``type``.
    """
    if (group, plural) in NOTES:
        return True
    metadata = item.get("metadata")
    if group or not isinstance(metadata, dict):
        return False
    match plural:
        case "serviceaccounts":
            return metadata.get("name") == "default" and _is_plain_account(item, metadata)
        case "configmaps":
            # Since 1.20.
            return (
                metadata.get("name") == "kube-root-ca.crt"
                and _has_only(metadata, _CA_ANNOTATIONS)
                and _holds_only(metadata, _CA_FIELDS)
            )
        case "secrets":
            return (
                item.get("type") == TOKEN_TYPE
                and _is_token(metadata.get("name"))
                and _has_only(metadata, _TOKEN_ANNOTATIONS, _TOKEN_LABELS)
                and (metadata.get("annotations") or {}).get(_ACCOUNT) == "default"
                and _holds_only(metadata, _TOKEN_FIELDS)
            )
    return False


def added_to(namespace: Json) -> str:
    """What somebody has added to a Namespace that the program created, ``""`` for nothing.

    Who labels a namespace, or annotates it for an admission controller, means to use it.
    """
    metadata = namespace["metadata"]
    for member, what in (("labels", "label"), ("annotations", "annotation")):
        for key in metadata.get(member) or ():
            # The API server has set the one since 1.21.
            if key != "kubernetes.io/metadata.name" and not key.startswith(PREFIX):
                return f"the {what} {key}"
    for member in sorted(metadata.keys() - _USUAL):
        return f"metadata.{member}"
    for finalizer in (namespace.get("spec") or {}).get("finalizers") or ():
        if finalizer != "kubernetes":
            return f"the finalizer {finalizer}"
    return ""


def name_of(resource: Resource, item: Json) -> str:
    """``ConfigMap settings``."""
    return f"{resource.kind} {str(item['metadata'].get('name') or 'without a name')[:253]}"


def occupants(names: Sequence[str], *, more: bool = False) -> str:
    """Names for people: ``ConfigMap settings, Pod web-0, Pod web-1 and 3 more``.

    :param names: at least one, of :func:`name_of`. What two groups serve comes twice, and is told
        once.
    :param more: whether there are others that were not looked at.
    """
    distinct = list(dict.fromkeys(names))
    told, rest = distinct[:FEW], len(distinct) - FEW
    if more or rest > 0:
        told.append("more" if more else f"{rest} more")
    return " and ".join(part for part in (", ".join(told[:-1]), told[-1]) if part)


def _is_plain_account(account: Json, metadata: Json) -> bool:
    """A person gives it imagePullSecrets, or tells it to mount no token."""
    secrets = account.get("secrets") or []
    return (
        account.get("kind", "ServiceAccount") == "ServiceAccount"
        and account.keys() <= {"apiVersion", "kind", "metadata", "secrets"}
        and _has_only(metadata)
        and isinstance(secrets, list)
        and all(
            isinstance(secret, dict) and secret.keys() == {"name"} and _is_token(secret["name"])
            for secret in secrets
        )
    )


def _is_token(name: object) -> bool:
    return isinstance(name, str) and _TOKEN_NAME.fullmatch(name) is not None


def _has_only(
    metadata: Json, annotations: Collection[str] = (), labels: Collection[str] = ()
) -> bool:
    """Whether nothing is in the metadata but what Kubernetes sets, and texts with these keys."""
    found = metadata.get("annotations") or {}, metadata.get("labels") or {}
    return metadata.keys() <= _USUAL and all(
        isinstance(texts, dict) and texts.keys() <= set(known)
        for texts, known in zip(found, (annotations, labels), strict=True)
    )


def _holds_only(metadata: Json, known: Collection[str]) -> bool:
    """Whether by its managedFields the object has none but these fields beside its metadata.

    They tell the names of what it holds, and nothing of the contents. Servers have them since 1.18;
    without them it is not known what the object holds.
    """
    managers = metadata.get("managedFields")
    if not isinstance(managers, list) or not managers:
        return False
    for manager in managers:
        fields = manager.get("fieldsV1") if isinstance(manager, dict) else None
        if not isinstance(fields, dict):
            return False
        for field, below in fields.items():
            if field == "f:metadata":
                continue
            inner = below.keys() - {"."} if isinstance(below, dict) else ()
            names = {f"{field}.{name}" for name in inner} or {field}
            if not {name.replace("f:", "") for name in names} <= set(known):
                return False
    return True
