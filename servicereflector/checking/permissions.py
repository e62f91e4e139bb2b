"""What the program asks the host's API to let it do, by its flags; and how that is asked.

The manifests grant the same: a test holds them and this to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..kube.objects import Json
from ..mirror.policy import EndpointsApi
from .findings import Finding, Found, fail, ok

#: Where one asks what one may do oneself: everybody may.
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

READ = ("list", "watch")
WRITE = (*READ, "create", "update", "delete")

_DELETE = "manifests/delete-namespaces.yaml"
_WEBHOOK = "manifests/webhook.yaml"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is to be allowed.

    :ivar group: of the API, ``""`` for the core.
    :ivar namespace: ``""`` for all, and for what is in none.
    :ivar name: of the one object that is meant, ``""`` for all.
    :ivar manifest: what grants it.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    manifest: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name!r}" if self.name else ""
        return f"{self.verb} {resource}{named}"

    def review(self) -> Json:
        """The SelfSubjectAccessReview."""
        attributes = {
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }


def needs(options: Mapping[str, Any], lease_namespace: str = "default") -> Iterator[Need]:
    """All that the program does with these flags, each thing once.

    :param lease_namespace: of the Lease, where the flags do not say it.
    """
    emitter, reflector = bool(options["emitter"]), bool(options["reflector"])
    namespace = options["namespace"] or ""
    manifest = _manifest(emitter, reflector, namespace)

    def each(verbs: Sequence[str], group: str, *resources: str, **more: str) -> Iterator[Need]:
        told = {"namespace": namespace, "manifest": manifest} | more
        for resource in resources:
            for verb in verbs:
                yield Need(verb, group, resource, **told)

    yield from each(WRITE if reflector else READ, "", "services", "endpoints")
    slices = options["reflector.endpoints-api"] is not EndpointsApi.ENDPOINTS
    verbs = WRITE if reflector and slices else READ
    yield from each(verbs, "discovery.k8s.io", "endpointslices")
    if reflector:
        # One namespace is followed by a list of it alone, which a role can grant by its name.
        yield from each(READ, "", "namespaces", namespace="", name=namespace)
        if options["reflector.create-namespaces"]:
            yield from each(["create"], "", "namespaces", namespace="")
        yield from each(["create", "update"], "", "events")
    if reflector and options["reflector.leader-elect"]:
        lease = "reflector.leader-elect-resource-"
        where = options[f"{lease}namespace"] or lease_namespace
        yield from each(["create"], "coordination.k8s.io", "leases", namespace=where)
        name = options[f"{lease}name"]
        yield from each(
            ["get", "update"], "coordination.k8s.io", "leases", namespace=where, name=name
        )
    if reflector and options["reflector.delete-namespaces"]:
        yield from each(["list"], "*", "*", manifest=_DELETE)
        yield from each(["delete"], "", "namespaces", namespace="", manifest=_DELETE)
    if emitter and options["emitter.authentication"]:
        told = {"namespace": "", "manifest": _WEBHOOK}
        yield from each(["create"], "authentication.k8s.io", "tokenreviews", **told)
    if emitter and options["emitter.authorization"] == "webhook":
        told = {"namespace": "", "manifest": _WEBHOOK}
        yield from each(["create"], "authorization.k8s.io", "subjectaccessreviews", **told)


def _manifest(emitter: bool, reflector: bool, namespace: str) -> str:
    if namespace:
        return "manifests/one-namespace.yaml"
    if emitter and reflector:
        return "manifests/service-reflector.yaml"
    return f"manifests/{'emitter' if emitter else 'reflector'}.yaml"


def judge(answers: Mapping[Need, bool]) -> Iterator[Finding]:
    """
    :param answers: whether each is allowed.
    """
    missing: dict[tuple[str, str], list[Need]] = {}
    for need, allowed in answers.items():
        if not allowed:
            missing.setdefault((need.manifest, need.namespace), []).append(need)
    for (manifest, namespace), refused in missing.items():
        where = f"in namespace {namespace!r}" if namespace else "in all namespaces"
        yield fail(
            "host",
            Found.NOT_PERMITTED,
            f"may not, {where}: {', '.join(map(str, refused))}",
            f"{manifest} grants it: kubectl apply -f {manifest}",
        )
    if not missing:
        yield ok("host", Found.PERMITTED, f"all {len(answers)} permissions are there")
