"""What a mirror looks like: the desired objects, made from the source's.

Nothing is copied that would make another program of the host believe that it owns the mirror, or
that would cost money or open a port there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from ..kube.annotations import COPIED, ORIGIN, PREFIX, REFLECTED, SOURCE
from ..kube.globs import matches_any
from ..kube.objects import Json, split_key
from ..kube.slices import (
    FAMILIES,
    OVER_CAPACITY,
    SKIP_MIRROR,
    endpoints_of_slices,
    slices_of_endpoints,
)
from ..kube.subsets import pack, truncate
from .features import Features
from .policy import DEFAULT, Policy
from .refusals import without_refused

#: Keys of labels and annotations by which tools find what they manage. A name that ends with a
#: slash stands for all keys below it.
IGNORED = (
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/",
    "cloud.google.com/",
    "control-plane.alpha.kubernetes.io/leader",
    # A copied managed-by would stop the host from mirroring the Endpoints into EndpointSlices.
    "endpoints.kubernetes.io/",
    "endpointslice.kubernetes.io/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "service.beta.kubernetes.io/",
    "service.kubernetes.io/headless",
    PREFIX,
)

#: Argo CD finds its objects by this label unless it is set up to use annotations.
_ARGOCD_LABEL = "app.kubernetes.io/instance"


#: The most addresses of an Endpoints object, as Kubernetes has it since 1.22.
MOST_ADDRESSES = 1000


def is_ignored(key: str, ignored: Sequence[str] = ()) -> bool:
    """
    :param ignored: globs of the operator's, beside the usual ones.
    """
    return matches_any(key, IGNORED) or matches_any(key, ignored)


def _copied(texts: Mapping[str, str] | None, ignored: Sequence[str]) -> dict[str, str]:
    return {key: text for key, text in (texts or {}).items() if not is_ignored(key, ignored)}


def renamed(document: Json, key: str) -> Json:
    """The source's object under the key that it has in the host."""
    namespace, name = split_key(key)
    return {**document, "metadata": {**document["metadata"], "namespace": namespace, "name": name}}


def mirror_metadata(
    metadata: Json, source: str, policy: Policy = DEFAULT, origin: str = ""
) -> Json:
    """The metadata of the mirror of an object with this metadata.

    :param origin: the key of the Service in the source, where it has another one here.
    """
    annotations = _copied(metadata.get("annotations"), policy.ignored_annotations)
    labels = _copied(metadata.get("labels"), policy.ignored_labels)
    if any(key.startswith("argocd.argoproj.io/") for key in metadata.get("annotations") or ()):
        labels.pop(_ARGOCD_LABEL, None)
    names = {
        member: sorted(texts)
        for member, texts in (("annotations", annotations), ("labels", labels))
        if texts
    }
    if names:
        annotations[COPIED] = orjson.dumps(names).decode()
    annotations |= {REFLECTED: "true", SOURCE: source}
    if origin:
        annotations[ORIGIN] = origin
    labels[REFLECTED] = "true"
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": labels,
        "annotations": annotations,
    }


def is_headless(spec: Mapping[str, object]) -> bool:
    return spec.get("clusterIP") == "None"


def is_external(spec: Mapping[str, object]) -> bool:
    return spec.get("type") == "ExternalName"


def mirror_service(
    service: Json, source: str, features: Features, policy: Policy = DEFAULT, origin: str = ""
) -> Json:
    """The Service that stands for ``service`` in the host."""
    spec, _ = without_refused(_mirror_spec(service.get("spec") or {}, features), features.refused)
    metadata = mirror_metadata(service["metadata"], source, policy, origin)
    return {"metadata": metadata, "spec": spec}


def left_out(service: Json, features: Features) -> list[str]:
    """The fields that a mirror of ``service`` lacks because the host refuses them, and why."""
    return without_refused(_mirror_spec(service.get("spec") or {}, features), features.refused)[1]


def _mirror_spec(spec: Json, features: Features) -> Json:
    desired: Json = {"sessionAffinity": spec.get("sessionAffinity") or "None"}
    if ports := [_port(port) for port in spec.get("ports") or ()]:
        desired["ports"] = ports
    if desired["sessionAffinity"] != "None" and spec.get("sessionAffinityConfig"):
        desired["sessionAffinityConfig"] = spec["sessionAffinityConfig"]
    if spec.get("publishNotReadyAddresses"):
        desired["publishNotReadyAddresses"] = True
    if is_external(spec):
        desired |= {"type": "ExternalName", "externalName": spec.get("externalName") or ""}
    else:
        desired["type"] = "ClusterIP"
        if is_headless(spec):
            desired["clusterIP"] = "None"
        if features.internal_traffic_policy:
            desired["internalTrafficPolicy"] = "Cluster"
        single = spec.get("ipFamilyPolicy") == "SingleStack"
        if features.ip_families and spec.get("ipFamilyPolicy"):
            # RequireDualStack would be refused by a host with one family.
            desired["ipFamilyPolicy"] = "SingleStack" if single else "PreferDualStack"
        if features.ip_families and spec.get("ipFamilies"):
            desired["ipFamilies"] = spec["ipFamilies"][:1] if single else spec["ipFamilies"]
        distribution = spec.get("trafficDistribution")
        if distribution not in features.traffic_distributions:
            # The older name of the same.
            distribution = "PreferClose" if distribution == "PreferSameZone" else None
        if distribution in features.traffic_distributions:
            desired["trafficDistribution"] = distribution
    return desired


def _port(port: Json) -> Json:
    """The port as the API server completes it, so that the mirror compares equal to it."""
    desired: Json = {"name": port["name"]} if port.get("name") else {}
    desired |= {
        "protocol": port.get("protocol") or "TCP",
        "port": port.get("port"),
        "targetPort": port.get("targetPort") or port.get("port"),
    }
    if port.get("appProtocol"):
        desired["appProtocol"] = port["appProtocol"]
    return desired


def mirror_endpoints(
    service: Json,
    endpoints: Json | None,
    source: str,
    slices: Sequence[Json] | None = None,
    *,
    family: str = "",
    beside_slices: bool = False,
    policy: Policy = DEFAULT,
    origin: str = "",
) -> Json | None:
    """The Endpoints behind the mirror of ``service``; None where it has none by its type.

    :param endpoints: the source's; None, where it has none now, becomes empty ones.
    :param slices: what is there in truth; None where the Endpoints tell.
    :param family: the mirror's first one; where that is not known, the slices' first.
    :param beside_slices: whether the program writes slices too: the host is not to add its own.
    """
    spec = service.get("spec") or {}
    if is_external(spec):
        return None
    if slices is None:
        slices = slices_of_endpoints(endpoints) if endpoints is not None else ()
    if not family:
        there = {one.get("addressType") for one in slices}
        family = next((one for one in FAMILIES if one in there), "")
    published = bool(spec.get("publishNotReadyAddresses"))
    found = endpoints_of_slices(slices, family)
    subsets, truncated = truncate(
        pack(one for one in found if one[0].ready or published), MOST_ADDRESSES
    )
    # The Service's labels and annotations are not those of its Endpoints.
    names = {member: service["metadata"][member] for member in ("name", "namespace")}
    told = {**((endpoints or {}).get("metadata") or {}), **names}
    metadata = mirror_metadata(told, source, policy, origin)
    if truncated:
        metadata["annotations"][OVER_CAPACITY] = "truncated"
    if beside_slices:
        metadata["labels"][SKIP_MIRROR] = "true"
    desired: Json = {"metadata": metadata}
    if subsets:
        desired["subsets"] = subsets
    return desired


def mirror_namespace(name: str) -> Json:
    """The Namespace that is created where the host lacks it."""
    return {"metadata": {"name": name, "annotations": {REFLECTED: "true"}}}
