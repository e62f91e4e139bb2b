"""kubectl reads a real cluster through its Emitter, and sees it change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servicereflector.testing.processes import Process

from .clusters import Cluster, RunningProgram, eventually

KUBECTL = str(Path(sys.executable).parent / "kubectl")


def kubectl(directory: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [KUBECTL, *arguments],
        env={"HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_kubectl_gets_and_watches(
    east: Cluster, emitter: tuple[RunningProgram, str], tmp_path: Path
) -> None:
    """The cluster's own Service is not among what is emitted; a name that is not there is told."""
    server = f"--server={emitter[1]}"
    east.namespace("shop")
    east.export("shop/cart", "10.9.0.1")

    def names() -> list[str]:
        return kubectl(tmp_path, server, "get", "services,endpoints", "-A", "-o", "name").split()

    eventually("both", lambda: names() == ["service/cart", "endpoints/cart"])
    missing = kubectl(tmp_path, server, "get", "service", "nobody")
    assert missing == 'Error from server (NotFound): services "nobody" not found\n'
    refused = kubectl(tmp_path, server, "delete", "service", "cart", "-n", "shop")
    assert "the server does not allow this method on the requested resource" in refused

    arguments = [KUBECTL, server, "get", "services", "-A", "--watch", "--output=name"]
    watching = Process(arguments, tmp_path, "watch.log")
    watching.start()
    try:
        eventually("the first", lambda: "service/cart" in watching.log_tail())
        east.export("shop/till", "10.9.0.2")
        eventually("the second", lambda: "service/till" in watching.log_tail())
    finally:
        watching.kill()
