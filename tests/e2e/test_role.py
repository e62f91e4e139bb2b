"""The program under exactly what each manifest allows it, the RBAC authorizer on.

Each manifest's program makes a tour of all that it does. The API server's audit log tells then that
nothing was refused, so what is allowed is enough, and that every verb was made use of, so there is
nothing to take away.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rights import MANIFESTS, Right, audit_policy, documents, granted
from versions import minor_version

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.certificates import Authority
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import Cluster, RunningProgram, eventually, fetch
from .installs import ACCOUNTS, INSTALLS, Install, added, groups, installed, may
from .tour import Stage, Tour, see_what_is_emitted

#: Of what is granted this cannot be made use of here: 1.20 serves no discovery.k8s.io/v1. That all
#: of it is used, tests/test_role_slices.py shows by what the embedded cluster is asked.
UNSERVED = ("discovery.k8s.io",) if minor_version() < 21 else ()

#: For what the tour could not wait for.
HURRIED = {
    "flags__SHORTEST_PERIOD": 0.1,
    "reflector__comparison__CONFIRM": 0.3,
    "reflector__comparison__INTERVAL": 0.1,
    "reflector__correlation__REPEAT_EVERY": 0.2,
}

#: manifests/service-reflector.yaml as it was.
OLD = Path(__file__).with_name("service-reflector-of-one-role.yaml")


@pytest.fixture(scope="module")
def guarded(envtest_binaries: Binaries) -> Iterator[Cluster]:
    """A cluster with RBAC, a token for each manifest's account, and a log of what those ask."""
    accounts = dict(ACCOUNTS)
    server = ApiServer(
        service_cluster_ip_range="10.3.0.0/16",
        authorization_mode="RBAC",
        tokens={token: (user, token, groups(user)) for token, user in accounts.items()},
        audit=audit_policy(accounts.values()),
        binaries=envtest_binaries,
    )
    with server:
        yield Cluster(server)


@pytest.fixture
def source_dir(emitter: tuple[RunningProgram, str], tmp_path: Path) -> Path:
    """What is mounted as /sources: east's Emitter."""
    found = tmp_path / "sources"
    found.mkdir()
    (found / "east").write_text(emitter[1])
    return found


@pytest.mark.parametrize("manifest", INSTALLS)
def test_what_a_manifest_allows_is_enough_and_all_of_it_is_used(
    guarded: Cluster,
    emitter: tuple[RunningProgram, str],
    east: Cluster,
    source_dir: Path,
    tmp_path: Path,
    manifest: str,
) -> None:
    name = manifest.removesuffix(".yaml")
    alone = manifest == "one-namespace.yaml"
    stage = Stage(east, guarded, *(("shop", "shop") if alone else (f"{name}-here", f"{name}-new")))
    stage.prepare(emitter[1])
    pair = Authority.create(tmp_path, "emitter").server(("127.0.0.1",))
    with installed(guarded, manifest) as install:
        port = free_port()
        secure = not install.has("--emitter.insecure-port", "8080")
        emits = not install.has("--emitter", "false")
        program = install.program(
            tmp_path,
            {
                "--reflector.source-dir": str(source_dir),
                "--emitter.cert-dir": str(tmp_path),
                "--emitter.tls-cert-file": str(pair[0]),
                "--emitter.tls-private-key-file": str(pair[1]),
                "--emitter.secure-port": str(port if secure else free_port()),
                "--emitter.insecure-port": str(0 if secure else port),
            },
            "--reflector.compare-period=300ms",
            f"--reflector.namespaces={stage.here},{stage.created}",
            **HURRIED,
        )
        try:
            program.wait_until_ready()
            if not install.has("--reflector", "false"):
                Tour(stage, program).go()
            if emits:
                tls = ssl.create_default_context(cafile=str(tmp_path / "emitter.crt"))
                url = f"{'https' if secure else 'http'}://127.0.0.1:{port}"
                see_what_is_emitted(url, stage, tls)
            assert "orbidden" not in program.log()
        finally:
            program.kill()
        usable = {r for r in granted(documents(manifest)) if r.group not in UNSERVED}

        def unused() -> set[Right]:
            return usable - install.asked().used

        # The beginning of a watch may be logged when it ends, which it did just now.
        eventually(lambda: f"granted, and never made use of: {unused()}", lambda: not unused(), 5)
        assert install.asked().refused == []


def test_namespaces_are_deleted_with_a_role_of_its_own(
    guarded: Cluster, east: Cluster, source_dir: Path, tmp_path: Path
) -> None:
    """Without it the log says what is missing. Looked at more often than a test could wait for."""
    addition = "delete-namespaces.yaml"
    east.namespace("unused")
    east.export("unused/cart", "10.9.0.1")
    with installed(guarded, "reflector.yaml") as install:
        program = install.program(
            tmp_path,
            {"--reflector.source-dir": str(source_dir)},
            "--reflector.namespaces=unused",
            "--reflector.delete-namespaces",
            reflector__namespaces__LOOK_EVERY=0.2,
            reflector__namespaces__GRACE=1.0,
        )
        try:
            eventually(program.log, lambda: guarded.ips("unused/cart"))
            east.delete("services", "unused/cart")
            missing = f"see manifests/{addition}"
            eventually("what is missing", lambda: missing in program.log())
            path = "/api/v1/namespaces/unused"
            assert "deletionTimestamp" not in guarded.must("GET", path)["metadata"]
            program.kill()
            with added(guarded, install, addition):
                program.start()
                eventually(
                    program.log,
                    lambda: "deletionTimestamp" in guarded.must("GET", path)["metadata"],
                )
                used, refused = install.asked()
        finally:
            program.kill()
    assert refused == []
    assert Right("", "namespaces", "delete") in used
    # Two of each of the wildcards: what no other manifest allows to be listed.
    listed = {(right.group, right.resource) for right in used if right.verb == "list"}
    assert {("", "secrets"), ("", "configmaps"), ("apps", "deployments")} <= listed
    assert granted(documents(addition)) == {
        Right("*", "*", "list"),
        Right("", "namespaces", "delete"),
    }


def test_the_host_is_asked_about_clients_with_a_role_of_its_own(
    guarded: Cluster, tmp_path: Path
) -> None:
    """Without it nobody is let in, and the log says what is missing."""
    pair = Authority.create(tmp_path, "emitter").server(("127.0.0.1",))
    tls = ssl.create_default_context(cafile=str(tmp_path / "emitter.crt"))
    port = free_port()
    with installed(guarded, "emitter.yaml") as install:
        program = install.program(
            tmp_path,
            {
                "--emitter.tls-cert-file": str(pair[0]),
                "--emitter.tls-private-key-file": str(pair[1]),
                "--emitter.secure-port": str(port),
                "--emitter.insecure-port": "0",
            },
            f"--emitter.secure-port={port}",
            "--emitter.authentication=webhook",
            "--emitter.authorization=webhook",
        )

        def code() -> int:
            headers = {"Authorization": f"Bearer {guarded.server.admin_token}"}
            return fetch(f"https://127.0.0.1:{port}/api/v1/services", tls, headers=headers)[0]

        try:
            program.wait_until_ready()
            assert code() == 503
            eventually(program.log, lambda: "a TokenReview failed: 403" in program.log())
            with added(guarded, install, "webhook.yaml"):
                eventually(program.log, lambda: code() == 200)
                usable = granted(documents("webhook.yaml"))
                eventually("both", lambda: usable <= install.asked().used)
        finally:
            program.kill()


def test_an_upgrade_takes_away_what_is_no_longer_needed(guarded: Cluster) -> None:
    """The old binding stays: what it refers to cannot be changed. What that allows can."""
    new = MANIFESTS / "service-reflector.yaml"
    install = Install(guarded, new.name)
    before, after = granted(yaml.safe_load_all(OLD.read_text())), granted(documents(new.name))
    try:
        kubectl(guarded, "apply", "-f", str(OLD))
        for right in before:
            eventually(f"{right}", lambda r=right: may(guarded, install, r))  # type: ignore[misc]
        kubectl(guarded, "apply", "-f", str(new))
        gone = before - after
        assert gone
        for right in gone:
            eventually(  # type: ignore[misc]
                f"{right} is gone", lambda r=right: not may(guarded, install, r)
            )
        assert {right for right in after if not may(guarded, install, right)} == set()
    finally:
        kubectl(guarded, "delete", "--ignore-not-found", "--wait=false", "-f", str(OLD))
        kubectl(guarded, "delete", "--ignore-not-found", "--wait=false", "-f", str(new))


def kubectl(cluster: Cluster, *arguments: str) -> None:
    """PyPI's; it must succeed."""
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("kubectl")),
            f"--kubeconfig={cluster.server.kubeconfig()}",
            f"--cache-dir={cluster.server.directory / 'kubectl'}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_every_manifest_is_proven() -> None:
    """The others allow nothing."""
    proven = {*INSTALLS, "delete-namespaces.yaml", "webhook.yaml"}
    names = {path.name for path in MANIFESTS.glob("*.yaml")}
    assert {name for name in names if granted(documents(name))} == proven
