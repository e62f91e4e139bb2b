"""The reactor of a program with 5,000 Services: no turn of it computes for long.

Programs as users run them; the clusters are in memory, in a process of their own. What is asserted
is the time that the reactor's thread computes in a turn. On a busy machine a turn lasts longer than
that, by what others took in between: that is nobody's fault, and only told. A machine that is
slower than usual, by a yardstick of the same process, may compute longer in proportion.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import servicereflector
from servicereflector.testing.processes import free_port

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs epoll to be measured"),
    pytest.mark.timeout(300),
]

#: Services of each cluster.
MANY = 5000

#: Seconds that a turn may compute, where the program's yardstick takes so many.
LONGEST, YARDSTICK = 0.1, 0.016

#: Seconds for anything, on a machine that is busy.
SOON = 100.0

#: Two clusters, east with many Services and west with none: prints their ports.
CLUSTERS = """
import gc, sys, uuid
from twisted.internet import reactor
from twisted.web.server import Site
from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster
from servicereflector.kube.objects import record_of
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES

gc.disable()
many = int(sys.argv[1])
NAMESPACED = (SERVICES, ENDPOINTS, ENDPOINTSLICES)
PORTS = [{"name": "http", "port": 8080, "protocol": "TCP"}]


def completed(number, document):
    document.pop("kind", None), document.pop("apiVersion", None)
    document["metadata"] |= {
        "uid": str(uuid.UUID(int=number)),
        "resourceVersion": str(number),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return document


def service(namespace, name, number):
    address = f"10.96.{number // 250}.{number % 250}"
    targets = [
        (f"10.{node}.{number // 250}.{number % 250}", f"node-{node}", f"{name}-{node}")
        for node in range(10)
    ]
    pods = [
        {"kind": "Pod", "namespace": namespace, "name": pod, "uid": str(uuid.UUID(int=number))}
        for _, _, pod in targets
    ]
    labels = {"kubernetes.io/service-name": name}
    return (
        {
            "metadata": {
                "namespace": namespace,
                "name": name,
                "labels": {"app": name, "team": namespace},
                "annotations": {"example.com/owner": namespace},
            },
            "spec": {
                "clusterIP": address,
                "clusterIPs": [address],
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            },
            "status": {"loadBalancer": {}},
        },
        {
            "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
            "subsets": [
                {
                    "addresses": [
                        {"ip": ip, "nodeName": node, "targetRef": pod}
                        for (ip, node, _), pod in zip(targets, pods)
                    ],
                    "ports": PORTS,
                }
            ],
        },
        {
            "metadata": {"namespace": namespace, "name": name + "-abcde", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [ip],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": node,
                    "targetRef": pod,
                }
                for (ip, node, _), pod in zip(targets, pods)
            ],
            "ports": PORTS,
        },
    )


def serve(objects, version):
    cluster = Cluster(now=lambda: "2026-01-01T00:00:00Z", uid=lambda: str(uuid.uuid4()))
    for namespace in namespaces:
        cluster.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    for resource, records in objects.items():
        cluster.stores[resource].replace(records, version)
    cluster._version = version
    site = Site(EmbeddedApi(reactor, cluster).app.resource())
    return reactor.listenTCP(0, site, interface="127.0.0.1").getHost().port


namespaces = [f"team-{number}" for number in range(10)]
east, west = ({resource: [] for resource in NAMESPACED} for _ in range(2))
for number in range(many):
    namespace, name = namespaces[number % 10], f"service-{number:05}"
    documents = service(namespace, name, number)
    for index, (resource, document) in enumerate(zip(NAMESPACED, documents)):
        record = record_of(resource, completed(100 + number * 3 + index, document))
        east[resource].append(record)
ports = [serve(objects, 100 + many * 3) for objects in (east, west)]
gc.freeze()
print(*ports, flush=True)
reactor.run()
"""

#: The program, which tells at its end how long its longest turn was and computed, and how long it
#: then computes for what is always the same: a machine may be slower, or have slowed down.
PROGRAM = """
import atexit, statistics, sys, time
from pathlib import Path
from twisted.internet import reactor
from servicereflector.__main__ import main
from servicereflector.ops.turns import measure

turns = measure(reactor)


def yardstick():
    began = time.thread_time()
    sum(number * number for number in range(200_000))
    return time.thread_time() - began


def tell():
    turns.end()
    measured = statistics.median(yardstick() for _ in range(9))
    Path("longest").write_text("{} {} {}".format(*turns.longest(), measured))


atexit.register(tell)
main()
"""


def environment(home: Path) -> dict[str, str]:
    root = Path(servicereflector.__file__).parents[1]
    kept = {name: value for name, value in os.environ.items() if "KUBE" not in name}
    if not (root / "twisted" / "__init__.py").exists():  # a checkout, not where pip installs
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), kept.get("PYTHONPATH")]))
    return {**kept, "HOME": str(home)}


def fetch(url: str, **headers: str) -> bytes:
    request = urllib.request.Request(
        url, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=SOON) as answer:
        body: bytes = answer.read()
        return body


class Program:
    """The program on one of the clusters, in a directory of its own."""

    def __init__(self, directory: Path, cluster: str, *flags: str) -> None:
        directory.mkdir()
        health, emitter = free_port(), free_port()
        self.health, self.emitter = f"http://127.0.0.1:{health}", f"http://127.0.0.1:{emitter}"
        self.directory = directory
        self.told: list[str] = []
        config = directory / "kubeconfig"
        config.write_text(
            json.dumps(
                {
                    "current-context": "it",
                    "contexts": [{"name": "it", "context": {"cluster": "it"}}],
                    "clusters": [{"name": "it", "cluster": {"server": cluster}}],
                }
            )
        )
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", PROGRAM),
                    f"--kubeconfig={config}",
                    f"--listen=127.0.0.1:{health}",
                    "--emitter.insecure-bind-address=127.0.0.1",
                    f"--emitter.insecure-port={emitter}",
                    "--emitter.secure-port=0",
                    "--log-level=warn",
                    f"--admin-socket={directory / 'admin.sock'}",
                    *flags,
                ],
                cwd=directory,
                env=environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def eventually(self, what: str, probe: Callable[[], object]) -> None:
        deadline = time.monotonic() + SOON
        while True:
            try:
                if probe():
                    break
            except OSError:
                pass
            told = "\n".join([what, *self.told, (self.directory / "log").read_text()[-2000:]])
            assert self.process.poll() is None, f"ended before: {told}"
            assert time.monotonic() < deadline, f"not within {SOON} s: {told}"
            time.sleep(0.1)
        self.note(what)

    def samples(self) -> dict[str, float]:
        lines = fetch(f"{self.health}/metrics").decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("service_reflector_"): float(value) for name, _, value in pairs}

    def note(self, what: str) -> None:
        """How long turns have been since the program began, now that this has been done."""
        samples = self.samples()
        took, computed = (
            samples[f"reactor_longest_turn_{unit}"] for unit in ("seconds", "cpu_seconds")
        )
        self.told.append(f"{what}: {took:.3f} s, computing {computed:.3f} s")

    def ask(self, *command: str) -> bytes:
        asking = subprocess.run(
            [
                *(sys.executable, "-m", "servicereflector", *command),
                f"--admin-socket={self.directory / 'admin.sock'}",
            ],
            cwd=self.directory,
            env=environment(self.directory),
            capture_output=True,
            timeout=SOON,
            check=True,
        )
        self.note(" ".join(command))
        return asking.stdout

    def settled(self, source: str) -> bool:
        """Whether nothing is left to be done, and everything is the source's."""
        samples = self.samples()
        states = f'mirrored_services{{source="{source}",state='
        return (
            samples["queue_length"] == 0
            and sum(samples.get(f'{states}"{state}"}}', 0) for state in ("Mirrored", "Standby"))
            == MANY
        )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SOON) == 0, (self.directory / "log").read_text()
        took, computed, yardstick = map(float, (self.directory / "longest").read_text().split())
        self.told.append(f"stop: {took:.3f} s, computing {computed:.3f} s")
        self.told.append(f"the yardstick: {yardstick:.4f} s, usually {YARDSTICK} s")
        assert computed < LONGEST * max(1.0, yardstick / YARDSTICK), "\n".join(self.told)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URLs of east and west."""
    directory = tmp_path_factory.mktemp("clusters")
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTERS, str(MANY)],
        cwd=directory,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        yield [f"http://127.0.0.1:{int(port)}" for port in process.stdout.readline().split()]
        process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(name: str, cluster: str, *flags: str) -> Program:
        programs.append(Program(tmp_path / name, cluster, *flags))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()


def test_the_emitter_computes_for_long_in_no_turn(
    clusters: list[str], start: Callable[..., Program]
) -> None:
    """Lists of everything in every form, and watches of everything."""
    program = start("east", clusters[0], "--reflector=false")
    program.eventually("first lists", lambda: fetch(f"{program.health}/readyz") == b"ok")
    paths = ("api/v1/services", "api/v1/endpoints", "apis/discovery.k8s.io/v1/endpointslices")
    as_table, as_partial = (
        f"application/json;as={kind};v=v1;g=meta.k8s.io"
        for kind in ("Table", "PartialObjectMetadataList")
    )
    for path in paths:
        url = f"{program.emitter}/{path}"
        assert len(json.loads(fetch(url))["items"]) >= MANY
        program.note(f"{path} in JSON")
        fetch(url, Accept_Encoding="gzip")
        program.note(f"{path} compressed")
        assert len(json.loads(fetch(url, Accept=as_table))["rows"]) >= MANY
        program.note(f"{path} as Table")
        assert len(json.loads(fetch(url, Accept=as_partial))["items"]) >= MANY
        program.note(f"{path}, the metadata")
        assert fetch(f"{url}?pretty=true&limit=2000").count(b"\n") > MANY
        program.note(f"{path} indented")
        state = fetch(f"{url}?watch=true&timeoutSeconds=1")
        assert state.count(b"\n") >= MANY
        program.note(f"{path} watched")
    url = f"{program.emitter}/{paths[0]}"
    assert fetch(url, Accept="application/yaml").count(b"\n- ") >= MANY
    program.note("YAML")
    assert fetch(f"{url}?watch=true&timeoutSeconds=1", Accept=as_table).count(b"\n") >= MANY
    program.note("a watch as Table")
    program.stop()


def test_the_reflector_computes_for_long_in_no_turn(
    clusters: list[str], start: Callable[..., Program], tmp_path: Path
) -> None:
    """Everything to be mirrored; a start when that is done, and another source."""
    east, west = clusters
    sources = tmp_path / "sources"
    sources.mkdir()
    flags = f"--reflector.source-api=east={east}", f"--reflector.source-dir={sources}"
    program = start("first", west, *flags)
    program.eventually("mirrors", lambda: program.settled("east"))
    program.stop()
    program = start("again", west, *flags)
    program.eventually("first lists", lambda: fetch(f"{program.health}/readyz") == b"ok")
    program.eventually("the same mirrors", lambda: program.settled("east"))
    assert program.ask("status")
    assert len(json.loads(program.ask("status", "-o", "json"))["mirrors"]) == MANY
    assert program.ask("explain", "team-3/service-00003")
    assert f"Mirrors 1 to 200 of {MANY:,}".encode() in fetch(f"{program.health}/")
    program.note("the status page")
    assert len(json.loads(fetch(f"{program.health}/status.json"))["mirrors"]) == MANY
    program.note("status.json")
    (sources / "other").write_text(east.replace("127.0.0.1", "localhost"))
    program.eventually("another source", lambda: program.settled("other"))
    (sources / "other").unlink()
    program.eventually("another source is gone", lambda: not program.settled("other"))
    program.eventually("everything again", lambda: program.settled("east"))
    program.stop()
