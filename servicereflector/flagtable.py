"""Every flag of the program, and what makes a value of its text."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .client.connection import ConfigError, parse_url
from .client.urloptions import NAMES, NOTHING, UrlOptions, parse_options
from .emitter.tls import check_suites
from .flags import (
    Flag,
    address,
    boolean,
    count,
    duration,
    fraction,
    glob,
    named_value,
    number,
    object_name,
    one_of,
    per_source,
    period,
    port,
    quiet_time,
    silence,
    size,
    size_or_none,
    timeout,
)
from .kube.selectors import LabelSelector, SelectorError, parse_labels
from .mirror.addresses import Rewrite, read_rewrite
from .mirror.admission import read_ports
from .mirror.naming import name_template, namespace_template
from .mirror.networks import read_network
from .mirror.policy import EndpointsApi

LOG_LEVELS = ("all", "debug", "info", "warn", "error", "none")
LOG_FORMATS = ("json", "text")
ENDPOINTS_APIS = tuple(api.value for api in EndpointsApi)
TLS_VERSIONS = ("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13")


def _selector(text: str) -> LabelSelector:
    try:
        return parse_labels(text)
    except SelectorError as error:
        raise ValueError(f"{text!r} is no label selector: {error}") from None


@dataclass(frozen=True, slots=True)
class SourceFlag:
    """``[NAME=]LOCATION``; the name is ``""`` where none is given."""

    name: str
    location: str
    options: UrlOptions = NOTHING


def _named(text: str) -> SourceFlag:
    """A name never holds what a URL or path does, so a ``=`` further on belongs to the location."""
    name, equals, location = text.partition("=")
    if equals and not set(name) & set("/:?&"):
        if not name or not location:
            raise ValueError(f"{text!r} is not of the form [NAME=]LOCATION")
        return SourceFlag(name, location)
    return SourceFlag("", text)


def _url(text: str) -> SourceFlag | tuple[str, str]:
    """A source, or an option of the one before it."""
    option, _, value = text.partition("=")
    if option in NAMES and not value.startswith(("http://", "https://")):
        return option, value
    source = _named(text)
    try:
        return SourceFlag(source.name, parse_url(source.location))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _with_options(read: list[SourceFlag | tuple[str, str]]) -> list[SourceFlag]:
    sources: list[tuple[SourceFlag, dict[str, str]]] = []
    for one in read:
        if isinstance(one, SourceFlag):
            sources.append((one, {}))
            continue
        option, value = one
        if not sources:
            raise ValueError(f"{option} stands before any URL")
        source, told = sources[-1]
        if not value or option in told:
            raise ValueError(f"{source.location}: {option} wants one value")
        told[option] = value
    try:
        return [replace(s, options=parse_options(told, s.location)) for s, told in sources]
    except ConfigError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A certificate and key for the domains that they serve; none means the certificate's own."""

    certificate: str
    key: str
    domains: tuple[str, ...] = ()


def _suite(text: str) -> str:
    check_suites([text])
    return text


def _pair(text: str) -> NamedPair:
    files, _, domains = text.partition(":")
    certificate, comma, key = files.partition(",")
    if not (certificate and comma and key):
        raise ValueError(f"{text!r} is not of the form cert.pem,key.pem[:domain,…]")
    return NamedPair(certificate, key, tuple(d.strip() for d in domains.split(",") if d.strip()))


def _endpoints_api(text: str) -> EndpointsApi:
    return EndpointsApi(one_of(ENDPOINTS_APIS)(text))


#: Namespaces of a cluster's own parts.
DENIED_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")


def _denied(read: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What is said of some sources leaves what is denied to all; an empty value denies nothing."""
    if read and all(name for name, _ in read):
        return [*(("", namespace) for namespace in DENIED_NAMESPACES), *read]
    return read


def _mapping(text: str) -> tuple[str, Rewrite]:
    """``[NAME=]FROM=TO``."""
    name, _, rest = text.partition("=")
    if "=" not in rest:
        return "", read_rewrite(text)
    if not name:
        raise ValueError(f"{text!r} is not of the form [NAME=]FROM=TO")
    return name, read_rewrite(rest)


def _mappings(read: list[tuple[str, Rewrite]]) -> list[tuple[str, Rewrite]]:
    mapped = [(name, rewrite.before) for name, rewrite in read]
    if len(set(mapped)) < len(mapped):
        raise ValueError("a network is mapped twice for the same sources")
    return read


FLAGS = (
    Flag(
        "kubeconfig",
        "",
        "The host cluster. Default: in-cluster credentials, else $KUBECONFIG, else ~/.kube/config.",
    ),
    Flag(
        "admin-socket",
        "",
        "The Unix socket of the commands status, explain, release and forget. Default: "
        "/run/service-reflector/admin.sock where that directory is, else one of the user's own.",
    ),
    Flag("namespace", "", "Limit both roles to one namespace. Default: all."),
    Flag("listen", ":9090", "Where health and metrics are served.", address),
    Flag(
        "status-page",
        "true",
        "Serve a page for people there, / and /status.json: sources, mirrors, what is wrong.",
        boolean,
        boolean=True,
    ),
    Flag("log-level", "info", f"One of {', '.join(LOG_LEVELS)}.", one_of(LOG_LEVELS)),
    Flag(
        "log-format",
        "",
        "json or text. Default: text in a terminal, else json.",
        one_of(("", *LOG_FORMATS)),
    ),
    Flag("version", "false", "Print the version and exit.", boolean, boolean=True),
    Flag(
        "client.connect-timeout",
        "10s",
        "For a TCP connection. The --client flags hold for the host and for each source alike.",
        timeout,
    ),
    Flag(
        "client.request-timeout",
        "30s",
        "For a whole request, waiting in line included, and for a watch to begin.",
        timeout,
    ),
    Flag("client.list-timeout", "60s", "For a page of a list.", timeout),
    Flag(
        "client.idle-timeout",
        "90s",
        "After which a watch that has brought no byte is opened anew. Servers send bookmarks each "
        "minute or so: less than 75s opens quiet watches anew for nothing. At least 3s.",
        quiet_time,
    ),
    Flag(
        "client.max-line-bytes",
        "8Mi",
        "The longest line of a watch; a longer one is skipped, and the watch goes on.",
        size,
    ),
    Flag(
        "client.max-body-bytes",
        "256Mi",
        "The largest answer, decompressed, and the largest list in all its pages.",
        size,
    ),
    Flag(
        "client.max-reads",
        "8",
        "Reads under way at one server at a time, watches apart; others wait in line.",
        number,
    ),
    Flag("emitter", "true", "Run the Emitter.", boolean, boolean=True),
    Flag("reflector", "true", "Run the Reflector.", boolean, boolean=True),
    Flag(
        "emitter.selector",
        "",
        "Label selector of what is emitted. Default: everything.",
        _selector,
    ),
    Flag("emitter.bind-address", "0.0.0.0", "Address of the HTTPS port."),
    Flag("emitter.secure-port", "6443", "HTTPS port; 0 turns it off.", port),
    Flag("emitter.insecure-bind-address", "0.0.0.0", "Address of the HTTP port."),
    Flag("emitter.insecure-port", "8080", "HTTP port; 0 turns it off.", port),
    Flag("emitter.tls-cert-file", "", "Certificate, with its chain, for HTTPS."),
    Flag("emitter.tls-private-key-file", "", "Private key of --emitter.tls-cert-file."),
    Flag(
        "emitter.cert-dir",
        "emitter.local.config/certificates",
        "Where a self-signed pair, emitter.crt and emitter.key, is made and kept if no "
        "certificate is given.",
    ),
    Flag(
        "emitter.tls-min-version",
        "VersionTLS12",
        f"Oldest TLS version taken: one of {', '.join(TLS_VERSIONS)}; those before 1.2 mean 1.2.",
        one_of(("", *TLS_VERSIONS)),
    ),
    Flag(
        "emitter.tls-cipher-suites",
        "",
        "Cipher suites up to TLS 1.2, by their IANA names. Default: Twisted's choice.",
        _suite,
        many=True,
    ),
    Flag(
        "emitter.tls-sni-cert-key",
        "",
        "cert.pem,key.pem[:domain,…] for clients that ask for one of the domains. Repeatable.",
        _pair,
        many=True,
        split=False,
    ),
    Flag(
        "emitter.client-ca-file",
        "",
        "Certificates of who vouches for clients: the common name is the user, the organizations "
        "are its groups. Any of the three ways to authenticate closes the Emitter to all others.",
    ),
    Flag(
        "emitter.token-auth-file",
        "",
        'Bearer tokens, as kube-apiserver has them: token,user,uid,"group,group", a line each.',
    ),
    Flag(
        "emitter.authentication",
        "",
        "webhook: the host cluster is asked whose a bearer token is (TokenReview). Needs "
        "manifests/webhook.yaml.",
        one_of(("", "webhook")),
    ),
    Flag(
        "emitter.authorization",
        "always-allow",
        "What those may read who are known: always-allow, or webhook, as the host cluster's own "
        "rules say (SubjectAccessReview). Needs manifests/webhook.yaml.",
        one_of(("always-allow", "webhook")),
    ),
    Flag(
        "emitter.views",
        "",
        "A YAML file of who is shown which namespaces and labels; nothing else exists for them.",
    ),
    Flag(
        "emitter.insecure-anonymous",
        "false",
        "Serve everybody on the HTTP port, as system:anonymous, although the HTTPS port "
        "authenticates. Without it the HTTP port then answers health alone.",
        boolean,
        boolean=True,
    ),
    Flag(
        "emitter.max-connections",
        "10000",
        "Connections to both ports of the Emitter at a time; one that is idle makes room. 0 is any "
        "number, here and below. A client is an IPv4 address, or the /64 of an IPv6 address.",
        count,
    ),
    Flag("emitter.max-connections-per-client", "1000", "The same of one client.", count),
    Flag(
        "emitter.header-timeout",
        "10s",
        "From a connection's beginning, or a request's first byte, to the end of its headers. 0 is "
        "no limit.",
        duration,
    ),
    Flag("emitter.max-watches", "10000", "Watches at a time; more are answered with 429.", count),
    Flag("emitter.max-watches-per-client", "1000", "The same of one client.", count),
    Flag(
        "emitter.max-lists",
        "100",
        "Lists under way at a time, until their clients have taken them; more are answered with "
        "429.",
        count,
    ),
    Flag("emitter.max-lists-per-client", "20", "The same of one client.", count),
    Flag(
        "emitter.http2-max-streams-per-connection",
        "0",
        "Taken for compatibility, without effect: the Emitter speaks HTTP/1.1.",
        count,
    ),
    Flag(
        "reflector.selector",
        "",
        "Label selector asked of the sources. Default: everything.",
        _selector,
    ),
    Flag(
        "reflector.source-api",
        "",
        "A source: [NAME=]URL of an Emitter, followed by ,OPTION=VALUE for each of fingerprint, "
        "ca-file, server-name, token-file, client-certificate and client-key that it needs. "
        "Repeatable; also --source-api.",
        _url,
        many=True,
        join=_with_options,
    ),
    Flag(
        "reflector.source-kubeconfig",
        "",
        "A source: [NAME=]PATH of a kubeconfig. Repeatable; also --source-kubeconfig.",
        _named,
        many=True,
    ),
    Flag(
        "reflector.source-dir",
        "",
        "A directory with a file for each source: a kubeconfig, a URL, or a mapping of url with "
        "the options of --reflector.source-api, or kubeconfig, and selector, stale-after and "
        "remove-after. The file's name is the source's. Changes are picked up within seconds.",
    ),
    Flag(
        "reflector.source-selector",
        "",
        "NAME=SELECTOR: the label selector asked of that source, in place of "
        "--reflector.selector. Repeatable.",
        named_value(_selector),
        many=True,
        split=False,
    ),
    Flag(
        "reflector.stale-after",
        "",
        "[NAME=]DURATION of a source's silence after which the endpoints of its mirrors count as "
        "not ready, such as 5m. Default: never. Repeatable.",
        per_source(silence),
        many=True,
    ),
    Flag(
        "reflector.remove-after",
        "",
        "[NAME=]DURATION of a source's silence after which the endpoints of its mirrors are "
        "withdrawn, or another source that exports them takes them over. Default: never. "
        "Repeatable.",
        per_source(silence),
        many=True,
    ),
    Flag(
        "reflector.max-services",
        "20000",
        "Services that are taken of a source; more are rejected one by one. 0: any number.",
        count,
    ),
    Flag(
        "reflector.max-slices",
        "100000",
        "The same of EndpointSlices.",
        count,
    ),
    Flag(
        "reflector.max-source-bytes",
        "1Gi",
        "The same of the bytes of JSON of all objects of a source.",
        size_or_none,
    ),
    Flag(
        "reflector.max-delete-fraction",
        "0.5",
        "Where one list of a source lacks more than this part of its mirrors, from 10 mirrors up, "
        "the deletions are held; 1 never holds.",
        fraction,
    ),
    Flag(
        "reflector.delete-hold",
        "5m",
        "For how long, while the source keeps to its answer; service-reflector release SOURCE "
        "ends it at once.",
        duration,
    ),
    Flag(
        "reflector.compare-period",
        "10m",
        "How often everything is compared with what it should be, in case that a change was "
        "missed; 0 is never.",
        period,
    ),
    Flag(
        "reflector.namespaces",
        "",
        "[NAME=]GLOB of the sources' namespaces that are mirrored. Default: all. Repeatable.",
        per_source(glob),
        many=True,
    ),
    Flag(
        "reflector.deny-namespaces",
        ",".join(DENIED_NAMESPACES),
        "[NAME=]GLOB of namespaces that are neither mirrored nor mirrored into. Repeatable.",
        per_source(glob),
        many=True,
        join=_denied,
    ),
    Flag(
        "reflector.allow-cidr",
        "",
        "[NAME=]CIDR of addresses that sources may have mirrored; others are left out. Default: "
        "all but those that lead to the host itself. Repeatable.",
        per_source(read_network),
        many=True,
    ),
    Flag(
        "reflector.map-cidr",
        "",
        "[NAME=]FROM=TO: addresses of the sources in the network FROM are mirrored as those in TO, "
        "which has the same prefix length, before anything is judged. Repeatable.",
        _mapping,
        many=True,
        join=_mappings,
    ),
    Flag(
        "reflector.deny-ports",
        "",
        "[NAME=]PORT[-PORT]: a Service that has such a port, or endpoints behind it that have, is "
        "not mirrored. Repeatable.",
        per_source(read_ports),
        many=True,
    ),
    Flag(
        "reflector.service-cidr",
        "",
        "A range of the host's ClusterIPs, which no source may name. Default: the host is asked. "
        "Repeatable.",
        read_network,
        many=True,
    ),
    Flag(
        "reflector.create-namespaces",
        "true",
        "Create the namespaces that the host lacks.",
        boolean,
        boolean=True,
    ),
    Flag(
        "reflector.delete-namespaces",
        "false",
        "Delete namespaces that the program created, once nothing is mirrored into them and "
        "nothing else is in them. Needs manifests/delete-namespaces.yaml.",
        boolean,
        boolean=True,
    ),
    Flag(
        "reflector.name-template",
        "{name}",
        "What a mirror is called, of {name}, {namespace} and {source}.",
        name_template,
    ),
    Flag(
        "reflector.namespace-template",
        "{namespace}",
        "The namespace of a mirror, of the same.",
        namespace_template,
    ),
    Flag(
        "reflector.ignored-labels",
        "",
        "Globs of labels that are not copied, beside those that other tools go by.",
        glob,
        many=True,
    ),
    Flag(
        "reflector.ignored-annotations",
        "",
        "The same of annotations.",
        glob,
        many=True,
    ),
    Flag(
        "reflector.prune",
        "false",
        "Delete the mirrors of sources that are no longer configured.",
        boolean,
        boolean=True,
    ),
    Flag(
        "reflector.endpoints-api",
        EndpointsApi.BOTH.value,
        f"Where a mirror's addresses are written: one of {', '.join(ENDPOINTS_APIS)}; Endpoints "
        "alone where the host has no discovery.k8s.io/v1.",
        _endpoints_api,
    ),
    Flag(
        "reflector.external-names",
        "true",
        "[NAME=]BOOLEAN: mirror Services of the type ExternalName. Repeatable.",
        per_source(boolean),
        many=True,
        boolean=True,
    ),
    Flag(
        "reflector.hints",
        "false",
        "Copy the zone hints of EndpointSlices: for clusters that share their zones.",
        boolean,
        boolean=True,
    ),
    Flag(
        "reflector.leader-elect",
        "false",
        "Write only while leading: of several replicas one does, and the others stand by.",
        boolean,
        boolean=True,
    ),
    Flag(
        "reflector.leader-elect-lease-duration",
        "15s",
        "For how long the others wait, once the leader is no longer heard of, before one takes "
        "over.",
        duration,
    ),
    Flag(
        "reflector.leader-elect-renew-deadline",
        "10s",
        "For how long a leader goes on that cannot renew the Lease: less than its duration.",
        duration,
    ),
    Flag(
        "reflector.leader-elect-retry-period",
        "2s",
        "How often the Lease is looked at and renewed.",
        duration,
    ),
    Flag(
        "reflector.leader-elect-resource-name",
        "service-reflector",
        "The name of the Lease.",
        object_name,
    ),
    Flag(
        "reflector.leader-elect-resource-namespace",
        "",
        "The namespace of the Lease. Default: the Pod's own, else that of the kubeconfig's "
        "context, else default.",
        object_name,
    ),
)

ALIASES = {
    "source-api": "reflector.source-api",
    "source-kubeconfig": "reflector.source-kubeconfig",
}
