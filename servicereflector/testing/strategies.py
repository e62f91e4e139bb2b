"""Hypothesis strategies for what the program reads: objects, histories, selectors, situations.

Names, labels and values come from small pools, so that collisions happen: two clusters export the
same Service, a label moves in and out of a selector, ``a-b/x`` sorts before ``a/x``. Objects are
as a list of the API holds them: without ``kind`` and ``apiVersion``.

Needs the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from ..kube.annotations import REFLECTED, SOURCE
from ..kube.objects import Json, Record, key_of, record_of
from ..kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
from ..kube.slices import SERVICE_NAME
from ..kube.watchevents import Bookmark, EventType, ObjectEvent
from ..mirror.copying import mirror_endpoints, mirror_service
from ..mirror.features import Features
from ..mirror.policy import EndpointsApi, Policy
from ..mirror.slices import mirror_slices
from ..mirror.states import HostState, SourceState
from ..store.versioned import Store

NAMESPACE_POOL = ("a", "a-b", "b")
NAME_POOL = ("a", "a-b", "x", "kubernetes")
SOURCE_POOL = ("east", "north", "south")

LABEL_POOL = ("app", "tier", "in", "example.com/zone")
VALUE_POOL = ("", "a", "b", "in", "7", "007", "20", "1_0")

#: Labels that tools use to find what they manage.
TOOL_LABELS = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "endpoints.kubernetes.io/managed-by",
    "service.kubernetes.io/headless",
    "kustomize.toolkit.fluxcd.io/name",
)

ARGOCD = "argocd.argoproj.io/tracking-id"

#: Annotations that tools use to find what they manage, Argo CD's among them.
TOOL_ANNOTATIONS = (
    ARGOCD,
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "service.beta.kubernetes.io/aws-load-balancer-type",
)

ANNOTATION_POOL = ("note", "example.com/owner", "prometheus.io/scrape")

namespaces = st.sampled_from(NAMESPACE_POOL)
names = st.sampled_from(NAME_POOL)
keys = st.builds(key_of, namespaces, names)
source_names = st.sampled_from(SOURCE_POOL)

#: Any JSON that orjson can read, as parsed.
json_values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def label_maps(*, tools: bool = False) -> st.SearchStrategy[dict[str, str]]:
    """
    :param tools: whether the labels of tools may be among them.
    """
    pool = LABEL_POOL + TOOL_LABELS if tools else LABEL_POOL
    return st.dictionaries(st.sampled_from(pool), st.sampled_from(VALUE_POOL), max_size=4)


def annotation_maps() -> st.SearchStrategy[dict[str, str]]:
    """Annotations, those of tools among them."""
    pool = ANNOTATION_POOL + TOOL_ANNOTATIONS
    return st.dictionaries(st.sampled_from(pool), st.text("ab", max_size=3), max_size=4)


def _metadata(key: str) -> st.SearchStrategy[Json]:
    namespace, _, name = key.partition("/")
    return st.fixed_dictionaries(
        {
            "name": st.just(name),
            "namespace": st.just(namespace),
            "uid": st.uuids().map(str),
            "resourceVersion": st.integers(1, 1 << 40).map(str),
        },
        optional={"labels": label_maps(tools=True), "annotations": annotation_maps()},
    )


_PROTOCOLS = ("TCP", "UDP", "SCTP")
_addresses = st.integers(1, 6).map(lambda n: f"10.1.0.{n}")


@st.composite
def _service_ports(draw: st.DrawFn) -> list[Json]:
    numbers = draw(st.lists(st.sampled_from((53, 80, 443)), max_size=3, unique=True))
    found: list[Json] = []
    for number in numbers:
        port: Json = {"port": number}
        # Only a single port may be without a name.
        if len(numbers) > 1 or draw(st.booleans()):
            port["name"] = f"p{number}"
        port |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "protocol": st.sampled_from(_PROTOCOLS),
                    "targetPort": st.sampled_from((8080, "http")),
                    "nodePort": st.just(30000 + number),
                    "appProtocol": st.just("kubernetes.io/h2c"),
                },
            )
        )
        found.append(port)
    return found


@st.composite
def services(draw: st.DrawFn, key: str | None = None) -> Json:
    """Services of every type, as a cluster's API tells them.

    :param key: of this namespace and name; drawn from the pools where it is None.
    """
    metadata = draw(_metadata(draw(keys) if key is None else key))
    kind = draw(st.sampled_from(("ClusterIP", "headless", "NodePort", "LoadBalancer", "External")))
    spec: Json = {"sessionAffinity": draw(st.sampled_from(("None", "ClientIP")))}
    if spec["sessionAffinity"] == "ClientIP":
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 600}}
    if ports := draw(_service_ports()):
        spec["ports"] = ports
    if draw(st.booleans()):
        spec["publishNotReadyAddresses"] = True
    if draw(st.booleans()):
        spec["selector"] = {"app": "a"}
    if kind == "External":
        spec |= {"type": "ExternalName", "externalName": "db.example"}
        return {"metadata": metadata, "spec": spec}
    spec["type"] = "ClusterIP" if kind == "headless" else kind
    spec["clusterIP"] = "None" if kind == "headless" else "172.20.0.9"
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "ipFamilyPolicy": st.sampled_from(
                    ("SingleStack", "PreferDualStack", "RequireDualStack")
                ),
                "ipFamilies": st.sampled_from((["IPv4"], ["IPv6"], ["IPv4", "IPv6"])),
                "trafficDistribution": st.sampled_from(
                    ("PreferClose", "PreferSameZone", "PreferSameNode")
                ),
                "internalTrafficPolicy": st.sampled_from(("Cluster", "Local")),
                "externalIPs": st.just(["192.0.2.1"]),
            },
        )
    )
    if kind in ("NodePort", "LoadBalancer"):
        spec["externalTrafficPolicy"] = draw(st.sampled_from(("Cluster", "Local")))
    if kind == "LoadBalancer":
        spec |= {"allocateLoadBalancerNodePorts": True, "loadBalancerIP": "192.0.2.2"}
        spec |= {"healthCheckNodePort": 31000, "loadBalancerSourceRanges": ["192.0.2.0/24"]}
    return {"metadata": metadata, "spec": spec}


_endpoint_ports = st.lists(
    st.fixed_dictionaries(
        {"port": st.sampled_from((53, 80, 443))},
        optional={
            "name": st.sampled_from(("", "p53", "p80")),
            "protocol": st.sampled_from(_PROTOCOLS),
            "appProtocol": st.just("kubernetes.io/h2c"),
        },
    ),
    max_size=3,
)

_endpoint_addresses = st.lists(
    st.fixed_dictionaries(
        {"ip": _addresses},
        optional={
            "hostname": st.sampled_from(("x-0", "x-1")),
            "nodeName": st.just("node-1"),
            "targetRef": st.just({"kind": "Pod", "name": "x-0"}),
        },
    ),
    max_size=3,
)

#: Subsets, several of them, with ready and unready addresses, without ports, or quite empty.
subsets: st.SearchStrategy[list[Json]] = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "addresses": _endpoint_addresses,
            "notReadyAddresses": _endpoint_addresses,
            "ports": _endpoint_ports,
        },
    ),
    max_size=3,
)


@st.composite
def endpoints(draw: st.DrawFn, key: str | None = None) -> Json:
    """Endpoints, as a cluster's API tells them.

    :param key: of this namespace and name; drawn from the pools where it is None.
    """
    metadata = draw(_metadata(draw(keys) if key is None else key))
    document: Json = {"metadata": metadata}
    if found := draw(subsets):
        document["subsets"] = found
    return document


_families = st.sampled_from(("IPv4", "IPv4", "IPv6", "FQDN"))
_slice_addresses = {
    "IPv4": _addresses,
    "IPv6": st.integers(1, 6).map(lambda n: f"fd00::{n}"),
    "FQDN": st.just("x.example"),
}


def _slice_endpoints(family: str) -> st.SearchStrategy[list[Json]]:
    conditions = st.fixed_dictionaries(
        {},
        optional={name: st.none() | st.booleans() for name in ("ready", "serving", "terminating")},
    )
    endpoint = st.fixed_dictionaries(
        {"addresses": _slice_addresses[family].map(lambda address: [address])},
        optional={
            "conditions": conditions,
            "hostname": st.sampled_from(("x-0", "x-1")),
            "zone": st.sampled_from(("zone-a", "zone-b")),
            "nodeName": st.just("node-1"),
            "targetRef": st.just({"kind": "Pod", "name": "x-0"}),
            "hints": st.just({"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "n"}]}),
            "deprecatedTopology": st.just({"example.com/rack": "1"}),
        },
    )
    return st.lists(endpoint, max_size=4)


_slice_ports = st.none() | st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(("", "p53", "p80"))},
        optional={
            "port": st.sampled_from((53, 80, 443)) | st.none(),
            "protocol": st.sampled_from(_PROTOCOLS),
            "appProtocol": st.just("kubernetes.io/h2c"),
        },
    ),
    max_size=2,
    unique_by=lambda port: str(port["name"]),
)


@st.composite
def endpoint_slices(draw: st.DrawFn, key: str, most: int = 3) -> list[Json]:
    """The slices of a Service, as a cluster's API tells them.

    :param key: the Service's namespace and name.
    """
    name = key.partition("/")[2]
    found = []
    for number in sorted(draw(st.sets(st.integers(0, most), max_size=most))):
        metadata = draw(_metadata(f"{key}-{number}"))
        metadata.setdefault("labels", {})[SERVICE_NAME] = name
        family = draw(_families)
        document: Json = {"metadata": metadata, "addressType": family}
        document["endpoints"] = draw(_slice_endpoints(family))
        document["ports"] = draw(_slice_ports)
        found.append(document)
    return found


def slice_records(documents: list[Json]) -> tuple[Record, ...]:
    return tuple(record_of(ENDPOINTSLICES, dict(document)) for document in documents)


def records(resource: Resource, documents: st.SearchStrategy[Json]) -> st.SearchStrategy[Record]:
    """The documents as a store keeps them."""
    return documents.map(lambda document: record_of(resource, document))


@dataclass(frozen=True, slots=True)
class Relist:
    """A new complete list, after a gap of which nothing is known."""

    records: tuple[Record, ...]
    version: int


#: One write to a store.
Write = ObjectEvent | Bookmark | Relist


def feed(store: Store, write: Write) -> None:
    """Do to the store what a list-watch does."""
    match write:
        case Relist(listed, version):
            store.replace(listed, version)
        case Bookmark(version):
            store.advance(version)
        case ObjectEvent(event_type, record):
            store.apply(event_type, record)


def small_record(key: str, version: int, its_labels: Mapping[str, str], size: int = 0) -> Record:
    """A Service with nothing but metadata, padded by ``size`` bytes."""
    namespace, _, name = key.partition("/")
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-of-{key}",
        "resourceVersion": str(version),
        "labels": dict(its_labels),
        "annotations": {"padding": "." * size},
    }
    return record_of(SERVICES, {"metadata": metadata, "spec": {}})


@st.composite
def histories(draw: st.DrawFn, *, max_size: int = 25, relists: bool = True) -> list[Write]:
    """What a cluster tells of its Services: a list, then events, bookmarks and further lists.

    Versions grow, in steps of up to three, as etcd counts for all resources together. Whatever is
    added was not there, whatever is changed or deleted was; a deletion carries the last state.

    :param relists: whether more lists may follow the first.
    """
    version = draw(st.integers(1, 9))
    state: dict[str, Record] = {}
    for key in draw(st.sets(keys, max_size=4)):
        state[key] = small_record(key, draw(st.integers(1, version)), draw(label_maps()))
    writes: list[Write] = [Relist(tuple(state.values()), version)]
    kinds = ["add", "add", "modify", "modify", "delete", "bookmark"] + ["relist"] * relists
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=max_size)):
        version += draw(st.integers(1, 3))
        if kind == "bookmark":
            writes.append(Bookmark(version))
        elif kind == "relist":
            for key in draw(st.sets(keys, max_size=3)):
                if state.pop(key, None) is None:
                    state[key] = small_record(key, version, draw(label_maps()))
            version += draw(st.integers(0, 2))
            writes.append(Relist(tuple(state.values()), version))
        elif kind == "add" or not state:
            key = draw(keys)
            event_type = EventType.MODIFIED if key in state else EventType.ADDED
            state[key] = small_record(
                key, version, draw(label_maps()), draw(st.sampled_from((0, 200)))
            )
            writes.append(ObjectEvent(event_type, state[key]))
        else:
            key = draw(st.sampled_from(sorted(state)))
            if kind == "delete":
                writes.append(ObjectEvent(EventType.DELETED, state.pop(key).at_version(version)))
            else:
                state[key] = small_record(key, version, draw(label_maps()))
                writes.append(ObjectEvent(EventType.MODIFIED, state[key]))
    return writes


@dataclass(frozen=True, slots=True)
class SelectorCase:
    """A label selector, and a model of it that has not seen our parser.

    :ivar matches: decides whether labels match.
    """

    text: str
    matches: Callable[[Mapping[str, str]], bool]

    def __repr__(self) -> str:
        return f"SelectorCase({self.text!r})"


def _number(text: str | None) -> int | None:
    digits = text[1:] if text and text[0] in "+-" else text
    if not text or not digits or set(digits) - set("0123456789"):
        return None
    return int(text)


_spaces = st.sampled_from(("", "", " ", "\t ", "\n"))


@st.composite
def _requirements(draw: st.DrawFn) -> SelectorCase:
    """Each operator once more in plain words, bound to what it compares with."""
    key, space = draw(st.sampled_from(LABEL_POOL)), draw(_spaces)
    operator = draw(st.sampled_from(("", "!", "=", "==", "!=", "in", "notin", ">", "<")))
    if operator == "":
        return SelectorCase(key + space, lambda found: key in found)
    if operator == "!":
        return SelectorCase("!" + space + key, lambda found: key not in found)
    if operator in (">", "<"):
        bound = draw(st.integers(0, 30))

        def compares(found: Mapping[str, str]) -> bool:
            number = _number(found.get(key))
            return number is not None and (number > bound if operator == ">" else number < bound)

        return SelectorCase(f"{key}{space}{operator}{space}{bound}", compares)
    if operator in ("in", "notin"):
        values = draw(st.lists(st.sampled_from(VALUE_POOL), max_size=3))
        text = f"{key} {operator}{space}({space}{f'{space},'.join(values)}{space})"
        among = set(values) or {""}
        if operator == "in":
            return SelectorCase(text, lambda found: key in found and found[key] in among)
        return SelectorCase(text, lambda found: key not in found or found[key] not in among)
    value = draw(st.sampled_from(VALUE_POOL))
    text = f"{space}{key}{space}{operator}{space}{value}"
    if operator == "!=":
        return SelectorCase(text, lambda found: found.get(key) != value)
    return SelectorCase(text, lambda found: found.get(key) == value)


@st.composite
def label_selectors(draw: st.DrawFn) -> SelectorCase:
    """Selectors of up to three requirements, spaced in every way that Kubernetes takes."""
    parts = draw(st.lists(_requirements(), max_size=3))
    text = f"{draw(_spaces)},{draw(_spaces)}".join(part.text for part in parts)
    return SelectorCase(text, lambda found: all(part.matches(found) for part in parts))


features = st.builds(
    Features,
    st.booleans(),
    st.booleans(),
    st.sampled_from((frozenset(), frozenset({"PreferClose"}), Features().traffic_distributions)),
    endpoint_slices=st.booleans(),
    family=st.sampled_from(("", "IPv4", "IPv6")),
    serving_conditions=st.booleans(),
    hints=st.booleans(),
)

policies = st.builds(
    Policy,
    prune=st.booleans(),
    endpoints_api=st.sampled_from(EndpointsApi),
    external_names=st.booleans(),
    hints=st.booleans(),
)


@st.composite
def source_states(draw: st.DrawFn, name: str, key: str) -> SourceState:
    """What the source of this name says of the key; now and then a mirror, or nothing."""
    service, its_endpoints = None, None
    if draw(st.integers(0, 3)):
        document = draw(services(key))
        if not draw(st.integers(0, 4)):
            document["metadata"].setdefault("annotations", {})[REFLECTED] = "true"
        service = record_of(SERVICES, document)
    if draw(st.integers(0, 3)):
        its_endpoints = record_of(ENDPOINTS, draw(endpoints(key)))
    its_slices = slice_records(draw(endpoint_slices(key))) if draw(st.booleans()) else ()
    synced = bool(draw(st.integers(0, 4)))
    return SourceState(name, synced, service, its_endpoints, slices=its_slices)


#: Writes of a person to a mirror, or of another program, that are to survive.
ADDED_ANNOTATION = "added-in-the-host"


def as_go_writes(document: Json, source: str) -> Json:
    """A mirror as squat/service-reflector makes it of this object.

    It copies all annotations and labels and the spec as it is, marks the mirror by annotations
    only, and does not tell which keys it copied.
    """
    metadata = document["metadata"]
    marks = {REFLECTED: "true", SOURCE: source}
    copied = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "annotations": {**metadata.get("annotations", {}), **marks},
    }
    if "labels" in metadata:
        copied["labels"] = metadata["labels"]
    mirror = {**document, "metadata": copied}
    if "spec" in document:
        left_out = ("clusterIP", "clusterIPs", "selector", "healthCheckNodePort")
        mirror["spec"] = {k: v for k, v in document["spec"].items() if k not in left_out}
        if document["spec"].get("clusterIP") == "None":
            mirror["spec"]["clusterIP"] = "None"
    return mirror


def completed(document: Json, uid: str, version: int) -> Json:
    """The object as the host's API server keeps it."""
    metadata = {**document["metadata"], "uid": uid, "resourceVersion": str(version)}
    kept = {**document, "metadata": metadata}
    if "addressType" in document:
        # An empty list is none once it has been through protobuf.
        for member in ("endpoints", "ports"):
            kept[member] = document.get(member) or None
    if "spec" in document and document["spec"].get("type") != "ExternalName":
        address = document["spec"].get("clusterIP") or "10.96.0.10"
        kept["spec"] = {**document["spec"], "clusterIP": address, "clusterIPs": [address]}
    return kept


@st.composite
def host_states(draw: st.DrawFn, key: str) -> HostState:
    """What the host has under the key: nothing, a stranger's, ours, or the Go program's."""
    namespace, _, _ = key.partition("/")
    there: dict[Resource, Record | None] = {NAMESPACES: None, SERVICES: None, ENDPOINTS: None}
    if draw(st.integers(0, 3)):
        metadata: Json = {"name": namespace, "uid": "ns", "resourceVersion": "1"}
        if not draw(st.integers(0, 5)):
            metadata["deletionTimestamp"] = "2020-01-01T00:00:00Z"
        there[NAMESPACES] = record_of(NAMESPACES, {"metadata": metadata})
    source = draw(source_names | st.just("gone"))
    writer = draw(st.sampled_from(("stranger", "ours", "ours", "ours", "go")))
    service, its_endpoints = draw(services(key)), draw(endpoints(key))
    its_slices = draw(endpoint_slices(key, most=2))
    made: dict[Resource, Json | None] = {SERVICES: service, ENDPOINTS: its_endpoints}
    slices: dict[str, Json] = {document["metadata"]["name"]: document for document in its_slices}
    if writer == "ours":
        known = draw(features)
        made[SERVICES] = mirror_service(service, source, known)
        made[ENDPOINTS] = mirror_endpoints(service, its_endpoints, source)
        slices |= mirror_slices(service, its_slices, source, (), known, draw(policies))
    elif writer == "go":
        made = {r: as_go_writes(d, source) for r, d in made.items() if d is not None}
    kept_slices = [
        completed(document, f"uid-slice-{number}", 20 + number)
        for number, document in enumerate(slices.values())
        if draw(st.booleans())
    ]
    for number, (resource, document) in enumerate(made.items()):
        if document is None or not draw(st.integers(0, 2)):
            continue
        document["metadata"].pop("finalizers", None)
        if draw(st.booleans()):
            document["metadata"].setdefault("annotations", {})[ADDED_ANNOTATION] = "kept"
        kept = completed(document, f"uid-{number}", 10 + number)
        there[resource] = record_of(resource, kept)
    its_own = slice_records(kept_slices)
    return HostState(there[NAMESPACES], there[SERVICES], there[ENDPOINTS], its_own)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that is known of one name when a plan is made.

    :ivar sources: in configured order.
    """

    key: str
    sources: tuple[SourceState, ...]
    host: HostState
    features: Features
    policy: Policy

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]


@st.composite
def situations(draw: st.DrawFn, sources: Sequence[str] | None = None) -> Situation:
    """
    :param sources: the names of the sources; drawn where it is None, in any order, or none.
    """
    key = draw(keys)
    if sources is None:
        least = draw(st.sampled_from((1, 2, 2, 0)))
        sources = draw(st.lists(source_names, unique=True, min_size=least, max_size=3))
    said = tuple(draw(source_states(name, key)) for name in sources)
    return Situation(
        key,
        said,
        draw(host_states(key)),
        draw(features),
        draw(policies),
    )
