"""The command line's flags: the Go program's spellings, and what is said to a mistake."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python import usage

import servicereflector
from servicereflector.election.machine import Timing
from servicereflector.flagtable import ALIASES, FLAGS, NamedPair, SourceFlag
from servicereflector.kube.selectors import parse_labels
from servicereflector.mirror.addresses import read_rewrite
from servicereflector.mirror.networks import read_network
from servicereflector.mirror.policy import EndpointsApi
from servicereflector.options import ReflectorOptions

TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")

#: Namespaces of a cluster's own parts.
DENIED = [("", "kube-system"), ("", "kube-public"), ("", "kube-node-lease")]

#: Each flag of the documented table: its default, a text for it, and the value that this gives.
TABLE: dict[str, tuple[Any, str, Any]] = {
    "kubeconfig": ("", "/etc/kube/config", "/etc/kube/config"),
    "admin-socket": ("", "/run/admin.sock", "/run/admin.sock"),
    "namespace": ("", "shop", "shop"),
    "listen": (("", 9090), "[::1]:80", ("::1", 80)),
    "log-level": ("info", "all", "all"),
    "log-format": ("", "text", "text"),
    "emitter": (True, "false", False),
    "reflector": (True, "false", False),
    "emitter.bind-address": ("0.0.0.0", "::1", "::1"),
    "emitter.secure-port": (6443, "0", 0),
    "emitter.insecure-bind-address": ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
    "emitter.insecure-port": (8080, "65535", 65535),
    "emitter.cert-dir": ("emitter.local.config/certificates", "/var/certs", "/var/certs"),
    "emitter.tls-min-version": ("VersionTLS12", "VersionTLS13", "VersionTLS13"),
    "emitter.tls-cipher-suites": (
        [],
        "TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
    ),
    "emitter.tls-sni-cert-key": (
        [],
        "c.pem,k.pem:a.example,*.b.example",
        [NamedPair("c.pem", "k.pem", ("a.example", "*.b.example"))],
    ),
    "emitter.client-ca-file": ("", "/ca.crt", "/ca.crt"),
    "emitter.token-auth-file": ("", "/tokens.csv", "/tokens.csv"),
    "emitter.authentication": ("", "webhook", "webhook"),
    "emitter.insecure-anonymous": (False, "true", True),
    "emitter.max-connections": (10_000, "0", 0),
    "emitter.max-connections-per-client": (1000, "5", 5),
    "emitter.header-timeout": (10.0, "0", 0.0),
    "emitter.max-watches": (10_000, "7", 7),
    "emitter.max-watches-per-client": (1000, "8", 8),
    "emitter.max-lists": (100, "9", 9),
    "emitter.max-lists-per-client": (20, "10", 10),
    "emitter.http2-max-streams-per-connection": (0, "100", 100),
    "status-page": (True, "false", False),
    "reflector.source-api": (
        [],
        "http://a.example:8080/",
        [SourceFlag("", "http://a.example:8080")],
    ),
    "reflector.source-kubeconfig": ([], "/a/config", [SourceFlag("", "/a/config")]),
    "reflector.source-dir": ("", "/sources", "/sources"),
    "reflector.source-selector": (
        [],
        "east=tier in (a,b)",
        [("east", parse_labels("tier in (a,b)"))],
    ),
    "reflector.stale-after": ([], "5m,east=30s", [("", 300.0), ("east", 30.0)]),
    "reflector.remove-after": ([], "east=1h", [("east", 3600.0)]),
    "client.connect-timeout": (10.0, "2s", 2.0),
    "client.request-timeout": (30.0, "1m", 60.0),
    "client.list-timeout": (60.0, "2m", 120.0),
    "client.idle-timeout": (90.0, "3s", 3.0),
    "client.max-line-bytes": (8 * 2**20, "512Ki", 512 * 1024),
    "client.max-body-bytes": (256 * 2**20, "1000000", 10**6),
    "client.max-reads": (8, "1", 1),
    "reflector.max-services": (20_000, "0", 0),
    "reflector.max-slices": (100_000, "7", 7),
    "reflector.max-source-bytes": (2**30, "64Mi", 64 * 2**20),
    "reflector.max-delete-fraction": (0.5, "1", 1.0),
    "reflector.delete-hold": (300.0, "90s", 90.0),
    "reflector.compare-period": (600.0, "0", 0.0),
    "reflector.namespaces": ([], "shop,east=web-*", [("", "shop"), ("east", "web-*")]),
    "reflector.deny-namespaces": (DENIED, "kube-*", [("", "kube-*")]),
    "reflector.allow-cidr": (
        [],
        "10.1.0.0/16,east=fd00::/64",
        [("", read_network("10.1.0.0/16")), ("east", read_network("fd00::/64"))],
    ),
    "reflector.map-cidr": (
        [],
        "10.1.0.0/16=100.64.0.0/16,east=10.2.0.0/24=10.3.0.0/24",
        [
            ("", read_rewrite("10.1.0.0/16=100.64.0.0/16")),
            ("east", read_rewrite("10.2.0.0/24=10.3.0.0/24")),
        ],
    ),
    "reflector.deny-ports": ([], "22,east=1-1023", [("", (22, 22)), ("east", (1, 1023))]),
    "reflector.service-cidr": ([], "10.96.0.0/12", [read_network("10.96.0.0/12")]),
    "reflector.create-namespaces": (True, "false", False),
    "reflector.delete-namespaces": (False, "true", True),
    "reflector.name-template": ("{name}", "{name}-{source}", "{name}-{source}"),
    "reflector.namespace-template": ("{namespace}", "from-{source}", "from-{source}"),
    "reflector.ignored-labels": ([], "team*", ["team*"]),
    "reflector.ignored-annotations": ([], "example.com/*", ["example.com/*"]),
    "reflector.prune": (False, "true", True),
    "reflector.endpoints-api": (EndpointsApi.BOTH, "endpoints", EndpointsApi.ENDPOINTS),
    "reflector.external-names": ([("", True)], "east=false", [("east", False)]),
    "reflector.hints": (False, "true", True),
    "reflector.leader-elect": (False, "true", True),
    "reflector.leader-elect-lease-duration": (15.0, "1m", 60.0),
    "reflector.leader-elect-renew-deadline": (10.0, "12s", 12.0),
    "reflector.leader-elect-retry-period": (2.0, "500ms", 0.5),
    "reflector.leader-elect-resource-name": ("service-reflector", "a.b-c", "a.b-c"),
    "reflector.leader-elect-resource-namespace": ("", "shop", "shop"),
}


def parse(*arguments: str) -> ReflectorOptions:
    options = ReflectorOptions()
    options.parseOptions(list(arguments))
    return options


def refusal(*arguments: str) -> str:
    """What is said to arguments that are not taken."""
    with pytest.raises(usage.UsageError) as raised:
        parse(*arguments)
    return str(raised.value)


def test_every_flag_is_in_this_table_or_has_a_test_of_its_own() -> None:
    """So that no flag is added without one."""
    elsewhere = {
        "version",
        "emitter.selector",
        "reflector.selector",
        "emitter.tls-cert-file",
        "emitter.tls-private-key-file",
        "emitter.authorization",
        "emitter.views",
    }
    assert {flag.name for flag in FLAGS} == TABLE.keys() | elsewhere


@pytest.mark.parametrize("name", TABLE)
def test_a_flag_that_is_not_given_has_its_default(name: str) -> None:
    """The documented one."""
    assert parse()[name] == TABLE[name][0]


@pytest.mark.parametrize("name", TABLE)
def test_a_value_follows_an_equals_sign(name: str) -> None:
    """``--name=value``."""
    _, text, value = TABLE[name]
    assert parse(f"--{name}={text}")[name] == value


@pytest.mark.parametrize(
    "name", [flag.name for flag in FLAGS if flag.name in TABLE and not flag.boolean]
)
def test_a_value_is_the_next_argument(name: str) -> None:
    """``--name value``."""
    _, text, value = TABLE[name]
    assert parse(f"--{name}", text)[name] == value


def test_a_value_may_begin_with_a_dash() -> None:
    """What follows a flag that needs a value is its value, as in Go."""
    assert parse("--namespace", "--emitter")["namespace"] == "--emitter"


@pytest.mark.parametrize(("text", "value"), [(t, True) for t in TRUE] + [(f, False) for f in FALSE])
def test_booleans_take_all_of_gos_spellings(text: str, value: bool) -> None:
    """strconv.ParseBool's."""
    assert parse(f"--reflector.prune={text}")["reflector.prune"] is value


def test_a_boolean_alone_is_true() -> None:
    """``--reflector.prune``."""
    assert parse("--reflector.prune")["reflector.prune"] is True


def test_a_boolean_never_takes_the_next_argument() -> None:
    """``--emitter false`` is a mistake in Go, too."""
    assert "'false'" in refusal("--emitter", "false")


@pytest.mark.parametrize("text", ["", "yes", "TrUe", "2", " true"])
def test_another_boolean_is_refused(text: str) -> None:
    """With the flag, the text and what is valid."""
    assert refusal(f"--emitter={text}") == f"--emitter: {text!r} is no boolean: say true or false"


def test_the_last_of_several_values_counts() -> None:
    """For a flag that is no list."""
    assert parse("--namespace=a", "--namespace=b")["namespace"] == "b"


def locations(options: ReflectorOptions, flag: str = "reflector.source-api") -> list[str]:
    return [source.location for source in options[flag]]


def test_lists_are_comma_separated_and_repeatable() -> None:
    """In the order of the command line."""
    options = parse("--reflector.source-api=http://a,http://b", "--reflector.source-api=http://c")
    assert locations(options) == ["http://a", "http://b", "http://c"]


def test_an_alias_and_its_flag_are_one_list() -> None:
    """The Go program's short names."""
    options = parse("--source-api=http://a", "--reflector.source-api=http://b")
    assert locations(options) == ["http://a", "http://b"]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_stands_for_its_flag(alias: str, name: str) -> None:
    """Both of them."""
    assert parse(f"--{alias}", "http://a")[name] == [SourceFlag("", "http://a")]


@pytest.mark.parametrize("name", ["reflector.source-api", "source-kubeconfig"])
@pytest.mark.parametrize("text", ["", ",", " , "])
def test_an_empty_list_is_none(name: str, text: str) -> None:
    """``--reflector.source-api=`` is what a manifest with an unset variable says."""
    options = parse(f"--{name}={text}")
    assert options[ALIASES.get(name, name)] == []


def test_an_empty_value_adds_nothing_to_a_list() -> None:
    """Nor does it take away."""
    assert locations(parse("--source-api=http://a", "--source-api=")) == ["http://a"]


@pytest.mark.parametrize(
    ("text", "name", "location"),
    [
        ("east=http://a:8080", "east", "http://a:8080"),
        ("http://a/path=with=equals", "", "http://a/path=with=equals"),
        ("east=http://a/k=v", "east", "http://a/k=v"),
        ("https://[fd00::1]:6443/", "", "https://[fd00::1]:6443"),
    ],
)
def test_a_source_may_have_a_name(text: str, name: str, location: str) -> None:
    """An equals sign further on belongs to the URL."""
    assert parse("--source-api", text)["reflector.source-api"] == [SourceFlag(name, location)]


@pytest.mark.parametrize(
    ("text", "name", "location"),
    [
        ("east=/etc/east.yaml", "east", "/etc/east.yaml"),
        ("/etc/a=b.yaml", "", "/etc/a=b.yaml"),
        ("./a=b", "", "./a=b"),
    ],
)
def test_a_kubeconfig_may_have_a_name(text: str, name: str, location: str) -> None:
    """An equals sign behind a slash belongs to the path."""
    taken = parse("--source-kubeconfig", text)["reflector.source-kubeconfig"]
    assert taken == [SourceFlag(name, location)]


@pytest.mark.parametrize("text", ["", "slices", "Both", "endpoints,endpointslices"])
def test_a_bad_endpoints_api_is_told_with_the_valid_ones(text: str) -> None:
    """In one line, as of every flag with a few words to choose from."""
    assert refusal(f"--reflector.endpoints-api={text}") == (
        f"--reflector.endpoints-api: {text!r} is not one of both, endpoints, endpointslices"
    )


@pytest.mark.parametrize("text", ["=http://a", "east="])
def test_half_a_name_is_refused(text: str) -> None:
    """With the form that is meant."""
    assert refusal(f"--source-api={text}") == (
        f"--reflector.source-api: {text!r} is not of the form [NAME=]LOCATION"
    )


@pytest.mark.parametrize(
    "text", ["a.example", "a.example:8080", "ftp://a", "http://", "http://a:x"]
)
def test_a_url_needs_its_scheme_and_host(text: str) -> None:
    """With the form that is meant."""
    assert refusal(f"--source-api={text}") == (
        f"--reflector.source-api: not of the form http[s]://host[:port][/path]: {text!r}"
    )


def test_what_is_denied_to_one_source_leaves_what_is_denied_to_all() -> None:
    """An empty value denies nothing; one for all takes the place of the default."""
    flag = "reflector.deny-namespaces"
    assert parse(f"--{flag}=east=shop")[flag] == [*DENIED, ("east", "shop")]
    assert parse(f"--{flag}=east=shop,a")[flag] == [("east", "shop"), ("", "a")]
    assert parse(f"--{flag}=")[flag] == []


@pytest.mark.parametrize(
    ("flag", "text", "told"),
    [
        ("allow-cidr", "10.1.0.0", None),
        ("allow-cidr", "10.1.0.1/16", "'10.1.0.1/16' has bits beyond its prefix: say 10.1.0.0/16"),
        ("allow-cidr", "a", "'a' is no network: say a CIDR such as 10.1.0.0/16"),
        ("allow-cidr", "=10.1.0.0/16", "'=10.1.0.0/16' is not of the form [NAME=]VALUE"),
        ("service-cidr", "10.0.0.0/33", "'10.0.0.0/33' is no network: say a CIDR such as"),
        ("map-cidr", "10.1.0.0/16", "'10.1.0.0/16' is not of the form FROM=TO, as"),
        ("map-cidr", "10.1.0.0/16=10.2.0.0/15", "'10.1.0.0/16=10.2.0.0/15' has prefixes of"),
        ("map-cidr", "10.1.0.0/16=fd00::/112", "'10.1.0.0/16=fd00::/112' has prefixes of"),
        ("map-cidr", "=10.1.0.0/16=10.2.0.0/16", "'=10.1.0.0/16=10.2.0.0/16' is not of the form"),
        ("map-cidr", "a=1.1.1.1=1.1.1.2,a=1.1.1.1=1.1.1.3", "a network is mapped twice"),
        ("map-cidr", "1.1.1.1=1.1.1.2,a=1.1.1.1=1.1.1.3", None),
        ("deny-ports", "0", "'0' is no port: say a number from 1 to 65535, or two as 1-1023"),
        ("deny-ports", "65536", "'65536' is no port"),
        ("deny-ports", "1-", "'1-' is no port"),
        ("deny-ports", "9" * 5000, f"'{'9' * 5000}' is no port"),
        ("deny-ports", "2-1", "'2-1' ends before it begins: say the lower port first"),
        ("deny-ports", "http", "'http' is no port"),
    ],
)
def test_what_is_said_of_sources_is_checked(flag: str, text: str, told: str | None) -> None:
    """In one line that names the flag, the text and what is valid."""
    if told is None:
        assert parse(f"--reflector.{flag}={text}")[f"reflector.{flag}"]
    else:
        assert refusal(f"--reflector.{flag}={text}").startswith(f"--reflector.{flag}: {told}")


@pytest.mark.parametrize("flag", ["emitter.selector", "reflector.selector"])
def test_selectors_are_label_selectors(flag: str) -> None:
    """Of all the forms that Kubernetes has."""
    selector = parse(f"--{flag}=app in (a,b),!internal,tier!=db")[flag]
    assert selector.matches({"app": "a"})
    assert not selector.matches({"app": "a", "internal": ""})


@pytest.mark.parametrize("flag", ["emitter.selector", "reflector.selector"])
def test_an_empty_selector_is_everything(flag: str) -> None:
    """As if it had not been given."""
    assert parse(f"--{flag}=")[flag].matches({"any": "thing"})


@pytest.mark.parametrize("flag", ["emitter.selector", "reflector.selector"])
@pytest.mark.parametrize("text", ["a in", "a in (", "!", "-a", "a=b,,c", "a==b=c"])
def test_a_bad_selector_is_refused(flag: str, text: str) -> None:
    """With the flag and the text."""
    assert refusal(f"--{flag}={text}").startswith(f"--{flag}: {text!r} is no label selector: ")


@pytest.mark.parametrize("flag", ["emitter.secure-port", "emitter.insecure-port"])
@pytest.mark.parametrize("text", ["", "http", "-1", "65536", "8080x", "٨٠", "9" * 5000])
def test_a_bad_port_is_refused(flag: str, text: str) -> None:
    """With the flag and the range."""
    told = refusal(f"--{flag}={text}")
    assert told.startswith(f"--{flag}: ")
    assert "65535" in told or len(text) > 4000


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9090", ("", 9090)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::]:0", ("::", 0)),
        ("a:1", ("a", 1)),
    ],
)
def test_listen_takes_gos_addresses(text: str, address: tuple[str, int]) -> None:
    """A host may be missing, a port never."""
    assert parse(f"--listen={text}")["listen"] == address


@pytest.mark.parametrize(
    "text", ["", "9090", "localhost", "localhost:", ":http", ":65536", "::1", "::1:80"]
)
def test_a_bad_listen_address_is_refused(text: str) -> None:
    """With an example."""
    assert refusal(f"--listen={text}") == (
        f"--listen: {text!r} is no address: say [host]:port, for example :9090"
    )


@pytest.mark.parametrize(
    ("flag", "valid"),
    [
        ("log-level", "all, debug, info, warn, error, none"),
        ("log-format", "json, text"),
        ("emitter.tls-min-version", "VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13"),
    ],
)
def test_one_of_several_words_is_checked(flag: str, valid: str) -> None:
    """With the words that are valid."""
    assert refusal(f"--{flag}=TLSv1.2") == f"--{flag}: 'TLSv1.2' is not one of {valid}"


def test_an_empty_tls_version_is_the_default() -> None:
    """It is the flag's default in Kubernetes."""
    assert parse("--emitter.tls-min-version=")["emitter.tls-min-version"] == ""


def test_an_unknown_cipher_suite_is_refused() -> None:
    """With those that are known."""
    told = refusal("--emitter.tls-cipher-suites=TLS_AES_128_GCM_SHA256,RC4")
    assert told.startswith("--emitter.tls-cipher-suites: unknown cipher suite 'RC4': one of TLS_")


@pytest.mark.parametrize("text", ["c.pem", "c.pem,", ",k.pem", ":a.example"])
def test_a_bad_pair_is_refused(text: str) -> None:
    """With the form that is meant."""
    assert refusal(f"--emitter.tls-sni-cert-key={text}") == (
        f"--emitter.tls-sni-cert-key: {text!r} is not of the form cert.pem,key.pem[:domain,…]"
    )


def test_pairs_are_repeated_not_comma_separated() -> None:
    """The comma is the pair's own."""
    options = parse("--emitter.tls-sni-cert-key=a,b", "--emitter.tls-sni-cert-key=c,d")
    assert options["emitter.tls-sni-cert-key"] == [NamedPair("a", "b"), NamedPair("c", "d")]


@pytest.mark.parametrize("text", ["", "-1", "many"])
def test_a_bad_count_is_refused(text: str) -> None:
    """Although it has no effect."""
    flag = "--emitter.http2-max-streams-per-connection"
    assert refusal(f"{flag}={text}") == f"{flag}: {text!r} is no number"


def test_certificate_and_key_are_taken_together() -> None:
    """Both are paths."""
    options = parse("--emitter.tls-cert-file=c", "--emitter.tls-private-key-file=k")
    assert (options["emitter.tls-cert-file"], options["emitter.tls-private-key-file"]) == ("c", "k")


@pytest.mark.parametrize("flag", ["tls-cert-file", "tls-private-key-file"])
def test_a_certificate_without_its_key_is_refused(flag: str) -> None:
    """And the other way round."""
    assert refusal(f"--emitter.{flag}=x") == (
        "--emitter.tls-cert-file and --emitter.tls-private-key-file go together"
    )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["renew-deadline=15s"],
            "--reflector.leader-elect-renew-deadline must be shorter than"
            " --reflector.leader-elect-lease-duration",
        ),
        (
            ["lease-duration=10s"],
            "--reflector.leader-elect-renew-deadline must be shorter than"
            " --reflector.leader-elect-lease-duration",
        ),
        (
            ["retry-period=9s"],
            "--reflector.leader-elect-retry-period must be above 0, and 1.2 times it below"
            " --reflector.leader-elect-renew-deadline",
        ),
        (
            ["retry-period=0"],
            "--reflector.leader-elect-retry-period must be above 0, and 1.2 times it below"
            " --reflector.leader-elect-renew-deadline",
        ),
        (
            ["resource-name="],
            "--reflector.leader-elect-resource-name: say the name of the Lease",
        ),
        (
            ["resource-name=A_b"],
            "--reflector.leader-elect-resource-name: 'A_b' is no name: say lower-case letters and"
            " digits, with - and .",
        ),
    ],
)
def test_an_election_that_cannot_work_is_refused(flags: list[str], told: str) -> None:
    """By the rules of client-go; without an election its times do not matter."""
    given = [f"--reflector.leader-elect-{flag}" for flag in flags]
    assert refusal("--reflector.leader-elect", *given) == told
    if "A_b" not in flags[0]:
        parse(*given)


def test_the_times_of_an_election_are_those_of_its_flags() -> None:
    """Each of its own."""
    flags = ("lease-duration=9s", "renew-deadline=5s", "retry-period=1s")
    options = parse("--reflector.leader-elect", *(f"--reflector.leader-elect-{f}" for f in flags))
    assert options.election_timing() == Timing(9.0, 5.0, 1.0)


@pytest.mark.parametrize("flag", ["--emitter.authorization=webhook", "--emitter.views=v.yaml"])
def test_rules_for_users_whom_nobody_knows_are_refused(flag: str) -> None:
    name = flag.partition("=")[0]
    assert refusal(flag) == (
        f"{name}: nobody is known without --emitter.client-ca-file, "
        "--emitter.token-auth-file or --emitter.authentication"
    )
    assert parse(flag, "--emitter.client-ca-file=ca.crt").authenticates()


def test_credentials_need_https() -> None:
    assert refusal("--emitter.token-auth-file=t", "--emitter.secure-port=0") == (
        "--emitter.secure-port: credentials are taken over HTTPS alone: say a port"
    )


def test_both_roles_off_is_refused() -> None:
    """Nothing would be left to do."""
    assert refusal("--emitter=false", "--reflector=false") == (
        "--emitter=false with --reflector=false leaves nothing to do"
    )


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--emiter=false", "unknown flag --emiter; did you mean --emitter?"),
        ("--source-apis", "unknown flag --source-apis; did you mean --source-api?"),
        ("--zzz", "unknown flag --zzz; --help lists the flags"),
        ("-v", "unknown flag -v; --help lists the flags"),
        ("-emitter", "unknown flag -emitter; did you mean --emitter?"),
        ("--", "unknown flag --; --help lists the flags"),
        ("--emit", "unknown flag --emit; did you mean --emitter?"),
    ],
)
def test_an_unknown_flag_is_refused(argument: str, told: str) -> None:
    """With the one that may have been meant; a shortened name is none."""
    assert refusal(argument) == told


def test_a_missing_value_is_refused() -> None:
    """With the flag as it was spelled."""
    assert refusal("--emitter=true", "--source-api") == "--source-api needs a value"


@pytest.mark.parametrize("arguments", [("extra",), ("--emitter", "extra"), ("demo", "extra")])
def test_an_argument_that_is_no_flag_is_refused(arguments: tuple[str, ...]) -> None:
    """``demo`` apart."""
    assert refusal(*arguments) == "unexpected argument 'extra'; --help lists the flags"


def test_demo_has_flags_of_its_own() -> None:
    """Only those."""
    options = parse("demo", "--once")
    assert (options.subCommand, options.subOptions["once"]) == ("demo", True)
    assert refusal("demo", "--kubeconfig=x").startswith("unknown flag --kubeconfig")


def test_flags_before_demo_are_checked() -> None:
    """They are read there, too: the log is set up by them."""
    assert refusal("--log-level=loud", "demo").startswith("--log-level: ")


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--emitter", "--version=true"), ("--version", "demo")]
)
def test_version_prints_and_exits(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 0."""
    with pytest.raises(SystemExit) as exited:
        parse(*arguments)
    assert not exited.value.code
    assert capsys.readouterr() == (f"service-reflector {servicereflector.__version__}\n", "")


def test_version_may_be_false() -> None:
    """It is a boolean like the others."""
    assert parse("--version=false")["version"] is False


@pytest.fixture
def help_text(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exited:
        parse("--help")
    assert not exited.value.code
    return capsys.readouterr().out


def test_help_lists_every_flag_once(help_text: str) -> None:
    """By its full name, on a line of its own."""
    shown = [line.strip() for line in help_text.splitlines() if line.startswith("  --")]
    assert shown == [f"--{flag.name}" for flag in FLAGS]


def test_help_tells_of_aliases_and_defaults(help_text: str) -> None:
    """Where there are some."""
    for alias in ALIASES:
        assert f"--{alias}" in help_text
    for default in ("6443", "8080", ":9090", "VersionTLS12"):
        assert f"(default {default})" in " ".join(help_text.split())


def test_help_fits_a_terminal(help_text: str) -> None:
    """100 columns."""
    assert max(len(line) for line in help_text.splitlines()) <= 100


@pytest.mark.parametrize("arguments", [("-h",), ("--namespace=a", "--help"), ("demo", "--help")])
def test_help_is_given_anywhere(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the demo, too."""
    with pytest.raises(SystemExit) as exited:
        parse(*arguments)
    assert not exited.value.code
    assert capsys.readouterr().out.startswith("Usage: service-reflector")


_NAMES = st.sampled_from([flag.name for flag in FLAGS] + list(ALIASES))
_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "true", "0", ":1", "a=b", "http://[", "http://a", "c,k:d", "json", "a in (b)"]
    ),
)
_ARGUMENTS = st.one_of(
    _NAMES.map("--{}".format),
    st.builds("--{}={}".format, _NAMES, _TEXTS),
    st.sampled_from(["demo", "--once", "-", "--", "--=", "-h", "--help=1"]),
    _TEXTS,
)


@given(st.lists(_ARGUMENTS, max_size=6))
def test_any_command_line_is_taken_or_refused(arguments: list[str]) -> None:
    """Whatever it is, there are options, one UsageError, or the exit of --help and --version."""
    with suppress(usage.UsageError, SystemExit):
        assert isinstance(parse(*arguments)["emitter"], bool)


@given(
    st.lists(st.sampled_from(["http://a", "http://b:1", "n=https://c/x=y"]), max_size=5),
    st.data(),
)
def test_a_list_is_the_same_however_it_is_spelled(sources: list[str], data: st.DataObject) -> None:
    """Cut anywhere into repeats, by either of its names, with either form of the value."""
    arguments: list[str] = []
    rest = list(sources)
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        text, rest = ",".join(rest[:taken]), rest[taken:]
        name = data.draw(st.sampled_from(["--source-api", "--reflector.source-api"]))
        arguments += data.draw(st.sampled_from([[f"{name}={text}"], [name, text]]))
    assert (
        parse(*arguments)["reflector.source-api"]
        == (parse(f"--source-api={','.join(sources)}")["reflector.source-api"])
    )
