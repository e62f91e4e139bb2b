"""What Accept means, by cases asked of kube-apiserver 1.20.2, and how bodies are written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.emitter.accept import clauses
from servicereflector.emitter.negotiation import (
    Form,
    encode,
    error_form,
    negotiate,
    negotiate_discovery,
    route_to_resource,
)
from servicereflector.emitter.pieces import compress, encode_list
from servicereflector.kube.printing import partial_object, row, table
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.status import ApiError
from servicereflector.testing import strategies as kube

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
BETA_TABLE = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OLDER = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
PROTOBUF = "application/vnd.kubernetes.protobuf"

#: The header of ``kubectl get``.
KUBECTL = f"{TABLE},{BETA_TABLE},application/json"

ONLY = "only the following media types are accepted: "
ALL = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
STREAMS = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"

JSON = Form()


def ask(accept: str, **arguments: Any) -> Form:
    asked: dict[str, Any] = {
        "user_agent": "kubectl/v1.37.1",
        "parameters": {},
        "watch": False,
        "collection": True,
        **arguments,
    }
    route_to_resource(accept, asked.pop("minor", 36), collection=asked["collection"])
    return negotiate(accept, **asked)


def discovery(accept: str, minor: int = 36, aggregated: bool = True) -> Form:
    return negotiate_discovery(
        accept, user_agent="", parameters={}, minor=minor, aggregated=aggregated, routed=True
    )


def code_of(call: Callable[[], object]) -> int | None:
    """Of its refusal, None where there is none."""
    try:
        call()
    except ApiError as error:
        return error.code
    return None


def refused(accept: str, **arguments: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(accept, **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        (" application/json ", JSON),
        ("application/json;q=0", JSON),
        ("application/json;foo=bar", JSON),
        ("application/json;as", JSON),
        ("application/json;as=a=b", JSON),
        ("application/json;sv=v1", JSON),
        ("application/json;stream=watch", JSON),
        ("application/yaml", Form("yaml")),
        ("application/json;q=0.5,application/yaml", Form("yaml")),
        ("application/yaml;q=0.5,application/json", JSON),
        ("application/yaml;q=x,application/json;q=0.1", JSON),
        ("*/*,application/yaml;q=0.1", Form("yaml")),
        ("text/html,application/yaml;q=0.9,*/*;q=0.8", Form("yaml")),
        (f"{PROTOBUF},application/json", JSON),
        (f"{PROTOBUF},*/*", JSON),
        ("application/json/x,application/json", JSON),
        (TABLE, Form(transform="Table")),
        ("application/json; as=Table; v=v1 ; g=meta.k8s.io", Form(transform="Table")),
        ("*/*;as=Table;v=v1;g=meta.k8s.io", Form(transform="Table")),
        ("application/yaml;as=Table;v=v1;g=meta.k8s.io", Form("yaml", "Table")),
        (BETA_TABLE, Form(transform="Table", version="v1beta1")),
        (KUBECTL, Form(transform="Table")),
        (f"application/json;as=Table;v=v2;g=meta.k8s.io,{KUBECTL}", Form(transform="Table")),
        ("application/json;as=Foo;v=v1;g=meta.k8s.io,*/*;q=0.1", JSON),
        (PARTIAL_LIST, Form(transform="PartialObjectMetadata")),
        (
            f"{PROTOBUF};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{PARTIAL_LIST}",
            Form(transform="PartialObjectMetadata"),
        ),
    ],
)
def test_the_first_that_can_be_served_whole_wins(accept: str, form: Form) -> None:
    """By quality, and specific types before wildcards."""
    assert ask(accept) == form


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/*", "*", "APPLICATION/JSON", "application/json/x", ",", "x", ";q=1"],
)
def test_the_router_knows_types_letter_by_letter(accept: str) -> None:
    error = refused(accept, minor=20)
    assert (error.code, error.message, error.details) == (406, "406: Not Acceptable", {})


def test_the_router_tells_what_there_is_since_it_can() -> None:
    """Of watches only where there are any."""
    available = f"406: Not Acceptable\n\nAvailable representations: {ALL}"
    assert refused("text/html", collection=False).message == available
    assert refused("text/html").message == f"{available}, {STREAMS}"


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Foo;v=v1;g=meta.k8s.io",
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        "application/json;as=Table",
        "application/json;v=v1",
        'application/json;as="Table";v=v1;g=meta.k8s.io',
        "application/json;AS=Table;v=v1;g=meta.k8s.io",
        "application/json;as=;v=v1;g=meta.k8s.io",
        "application/json;as=Table;as=Foo;v=v1;g=meta.k8s.io",
        "application/json;stream=foo",
        "application/json;sv=v2",
        "application/yaml;stream=watch",
    ],
)
def test_a_parameter_that_cannot_be_served_rules_its_type_out(accept: str) -> None:
    error = refused(accept)
    assert (error.code, error.message, error.details) == (406, ONLY + ALL, None)
    assert error.reason == "NotAcceptable"


def test_protobuf_alone_is_refused() -> None:
    """And is not among what is said to be accepted."""
    assert refused(PROTOBUF).message == f"{ONLY}application/json, application/yaml"


@pytest.mark.parametrize(
    ("resource", "collection", "accept", "go_type"),
    [
        (SERVICES, True, PARTIAL, "a list (*core.ServiceList)"),
        (ENDPOINTS, True, PARTIAL, "a list (*core.EndpointsList)"),
        (ENDPOINTSLICES, True, PARTIAL, "a list (*discovery.EndpointSliceList)"),
        (SERVICES, False, PARTIAL_LIST, "not a list (*core.Service)"),
    ],
)
def test_metadata_of_lists_and_of_objects_are_two_kinds(
    resource: Resource, collection: bool, accept: str, go_type: str
) -> None:
    kind = "PartialObjectMetadata" if collection else "PartialObjectMetadataList"
    error = refused(accept, collection=collection, resource=resource)
    assert error.message == f"you requested {kind}, but the requested object is {go_type}"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (KUBECTL, Form(transform="Table")),
        (PARTIAL, Form(transform="PartialObjectMetadata")),
        (PARTIAL_LIST, JSON),
        ("application/json;stream=watch", JSON),
        ("application/json;pretty=1", JSON),
        (f"{PROTOBUF};stream=watch,application/json;stream=watch", JSON),
    ],
)
def test_a_watch_is_compact_json(accept: str, form: Form) -> None:
    assert ask(accept, watch=True, user_agent="curl/8", parameters={"pretty": "1"}) == form


@pytest.mark.parametrize("accept", ["application/yaml", "application/yaml,application/json"])
def test_a_watch_is_never_yaml(accept: str) -> None:
    """Not even with JSON as second choice."""
    assert refused(accept, watch=True).message == ONLY + STREAMS


@pytest.mark.parametrize("include", ["", "Metadata", "Object", "None"])
def test_a_table_holds_of_its_objects_what_is_asked(include: str) -> None:
    form = ask(TABLE, parameters={"includeObject": include})
    assert form.include_object == (include or "Metadata")


def test_an_unknown_part_of_the_objects_is_a_bad_request() -> None:
    error = refused(KUBECTL, parameters={"includeObject": 'x"'})
    assert (error.code, error.message) == (
        400,
        'Unable to convert to Table as requested: includeObject: Invalid value: "x\\"": '
        "must be 'Metadata', 'Object', 'None', or empty",
    )


@pytest.mark.parametrize("accept", ["application/json", PARTIAL_LIST])
def test_only_tables_look_at_it(accept: str) -> None:
    assert ask(accept, parameters={"includeObject": "x"}).include_object == "Metadata"


@pytest.mark.parametrize(
    ("accept", "user_agent", "parameters", "pretty"),
    [
        ("application/json", "kubectl", {}, False),
        ("application/json", "curl/8.1", {}, True),
        ("application/json", "Wget/1.21", {}, True),
        ("application/json", "Mozilla/5.0 (X11)", {}, True),
        ("application/json", "libcurl", {}, False),
        ("application/json", "curl/8.1", {"pretty": "false"}, False),
        ("application/json", "curl/8.1", {"pretty": "yes"}, False),
        ("application/json", "curl/8.1", {"pretty": ""}, True),
        ("application/json", "kubectl", {"pretty": "TRUE"}, True),
        ("application/json;pretty=1", "kubectl", {"pretty": "0"}, True),
        ("application/json;pretty=0", "kubectl", {}, False),
        ("application/yaml", "curl/8.1", {"pretty": "1"}, False),
        (TABLE, "curl/8.1", {}, True),
    ],
)
def test_people_get_indented_json(
    accept: str, user_agent: str, parameters: dict[str, str], pretty: bool
) -> None:
    assert ask(accept, user_agent=user_agent, parameters=parameters).pretty is pretty


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/json", JSON),
        ("application/yaml", Form("yaml")),
        ("application/*", JSON),
        (TABLE, Form(pretty=True)),
        (KUBECTL, JSON),
        ("text/html", Form(pretty=True)),
        (PROTOBUF, Form(pretty=True)),
    ],
)
def test_a_status_is_never_transformed(accept: str, form: Form) -> None:
    """Who takes nothing but transforms gets it indented, as from kube-apiserver."""
    assert error_form(accept, user_agent="", parameters={}) == form


@pytest.mark.parametrize(
    ("accept", "minor", "aggregated"),
    [
        (f"{AGGREGATED},{OLDER},application/json", 36, True),
        (f"application/json,{AGGREGATED}", 36, True),
        (f"{AGGREGATED};q=0.1,application/json", 36, True),
        (f"{PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{AGGREGATED}", 36, True),
        (f"{AGGREGATED},application/json", 29, False),
        (f"{OLDER},application/json", 36, False),
        ("application/json", 36, False),
        ("", 36, False),
        ("*/*", 36, False),
    ],
)
def test_discovery_is_aggregated_for_who_knows_it(
    accept: str, minor: int, aggregated: bool
) -> None:
    """Where the upstream's version does it too."""
    form = discovery(accept, minor)
    assert (form.transform == "APIGroupDiscoveryList") is aggregated
    assert form.content_type == (AGGREGATED if aggregated else "application/json")


def test_below_the_groups_nothing_is_aggregated() -> None:
    assert discovery(f"{AGGREGATED},application/json", aggregated=False) == JSON
    for accept in (AGGREGATED, TABLE):
        with pytest.raises(ApiError, match="only the following"):
            discovery(accept, aggregated=False)
    with pytest.raises(ApiError, match="406: Not Acceptable"):
        discovery("text/html")


def test_a_table_has_the_content_type_of_json() -> None:
    assert ask(TABLE).content_type == "application/json"
    assert ask("application/yaml").content_type == "application/yaml"


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (JSON, b'{"b":[1],"a":null}\n'),
        (Form(pretty=True), b'{\n  "b": [\n    1\n  ],\n  "a": null\n}'),
        (Form("yaml"), b"a: null\nb:\n- 1\n"),
    ],
)
def test_bodies_end_as_kubernetes_ends_them(form: Form, body: bytes) -> None:
    """Compact JSON with a newline, indented JSON without, YAML with sorted keys."""
    assert encode({"b": [1], "a": None}, form) == body


@pytest.mark.parametrize("text", ["1e3", "0x1F", "1_000", "y", "No", "~", "null", ".5", "007", "-"])
def test_yaml_quotes_what_some_reader_takes_for_no_string(text: str) -> None:
    assert encode(text, Form("yaml")).startswith(f'"{text}"'.encode())


def test_yaml_shows_lines_as_lines_and_folds_none() -> None:
    long = "word " * 40 + "end"
    assert (
        encode({"a": "x\ny\n", "b": long}, Form("yaml")) == f"a: |\n  x\n  y\nb: {long}\n".encode()
    )


#: What YAML cannot hold as it is, its reader refuses even where it is escaped.
printable = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]) | st.just("\n")
)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | printable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_yaml_reads_back_as_the_document(document: Any) -> None:
    assert yaml.safe_load(encode(document, Form("yaml"))) == document


@given(kube.json_values, st.booleans())
def test_json_reads_back_as_the_document(document: Any, pretty: bool) -> None:
    assert orjson.loads(encode(document, Form(pretty=pretty))) == document


accepts = st.lists(
    st.sampled_from(
        [
            *KUBECTL.split(","),
            PARTIAL,
            PARTIAL_LIST,
            AGGREGATED,
            PROTOBUF,
            "*/*",
            "*",
            "a/b",
            "/",
            "",
        ]
    ).flatmap(
        lambda told: st.sampled_from(["", ";q=0.5", ";q=", ";pretty=1", ";=", "/"]).map(
            told.__add__
        )
    ),
    max_size=15,
).map(",".join) | st.text(max_size=60)


@given(accepts, st.text(max_size=5), st.booleans(), st.booleans(), st.integers(0, 40))
def test_no_header_ends_in_anything_but_a_form_or_a_refusal(
    accept: str, text: str, watch: bool, collection: bool, minor: int
) -> None:
    """406, or 400 for the parameter."""
    parameters = {"includeObject": text, "pretty": text}
    error_form(accept, user_agent=text, parameters=parameters)

    def asked() -> None:
        form = ask(accept, parameters=parameters, watch=watch, collection=collection, minor=minor)
        assert not (watch and (form.pretty or form.serialization == "yaml"))
        assert {form}, "it can be a view's key"

    assert code_of(asked) in (None, 400, 406)
    assert code_of(lambda: discovery(accept, minor)) in (None, 406)


def test_a_header_of_thousands_of_types_takes_no_time() -> None:
    """Go's own order, kept for twelve, would be millions of comparisons."""
    accept = ",".join(f"*/*;q={n / 10_000},a/b" for n in range(4000))
    assert len(clauses(accept)) == 8000


ITEMS = st.one_of(
    kube.services(),
    kube.endpoints(),
    st.just({}),
    st.just({"data": {"text": "one\ntwo\n", "deep": [[{}, []], [1]], "empty": ""}}),
)


@given(
    st.lists(ITEMS, max_size=4),
    st.sampled_from([JSON, Form(pretty=True), Form("yaml")]),
    st.sampled_from([SERVICES, ENDPOINTS]),
)
def test_lists_are_encoded_item_by_item(items: list[Any], form: Form, resource: Resource) -> None:
    """The same bytes as in one piece, of objects, their metadata and their rows."""
    metadata = {"resourceVersion": "7", "continue": "]}"}
    rows = [row(resource, item, 0) for item in items]
    columns = [{"name": "Name", "description": "- items:\n  []}"}]
    lists = [
        ({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": []}, items),
        (
            {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": None},
            [partial_object(item) for item in items],
        ),
        (table([], metadata, columns), rows),
    ]
    for document, held in lists:
        member = list(document)[-1]
        whole = {**document, member: held} if held else document
        found = list(encode_list(document, member, iter(held), form))
        assert b"".join(found) == encode(whole, form)
        assert len(found) >= len(held)


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 1_000_000])
def test_bodies_are_compressed_in_pieces(size: int) -> None:
    data = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
    pieces = list(compress(data))
    assert gzip.decompress(b"".join(pieces)) == data
    assert len(pieces) > size // (512 * 1024)
