"""The program under exactly what each manifest allows it, the RBAC authorizer on.

Each manifest's program makes a tour of all that it does. The API server's audit log tells then that
nothing was refused, so what is allowed is enough, and that every verb was made use of, so that there
is nothing to take away.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from rights import audit_policy, documents, granted
from versions import minor_version

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.certificates import Authority
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import Cluster, RunningProgram
from .installs import ACCOUNTS, INSTALLS, groups, installed
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
            "--reflector.leader-elect-lease-duration=3s",
            "--reflector.leader-elect-renew-deadline=2s",
            "--reflector.leader-elect-retry-period=500ms",
            f"--reflector.leader-elect-resource-namespace={install.namespace}",
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
        used, refused = install.asked()
        assert refused == []
        usable = {r for r in granted(documents(manifest)) if r.group not in UNSERVED}
        assert usable - used == set(), "granted, and never made use of"
