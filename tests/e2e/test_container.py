"""The installed program as the manifests run it: nothing can be written but what they mount, there
is no shell, no capability, and no way to get one."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from servicereflector.testing.processes import free_port

from .clusters import COMMAND, Cluster, RunningProgram, eventually, fetch

#: In a mount namespace of its own: all file systems read-only, a tmpfs where the manifests have an
#: emptyDir, nothing where shells were; then the program, without capabilities.
CONTAINED = """
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
state=$1 shells=$2
shift 2
mount --make-rprivate /
while read -r _ target kind _; do
  case $kind in
    ext4|xfs|btrfs|overlay|tmpfs|9p|virtiofs|fuse*)
      case $target in /dev/*|/sys/*|/mnt/*) ;; *) mount -o remount,bind,ro "$target" ;; esac ;;
  esac
done < /proc/self/mounts
mount -t tmpfs -o mode=700 tmpfs "$state"
for shell in $shells; do mount --bind /dev/null "$shell"; done
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- "$@"
"""


def shells() -> str:
    """The files behind the names of shells."""
    names = ("sh", "dash", "bash", "busybox", "zsh")
    found = {os.path.realpath(path) for name in names if (path := shutil.which(name))}
    return " ".join(sorted(found))


def test_nothing_is_written_and_no_shell_is_needed(east: Cluster, tmp_path: Path) -> None:
    unshare, shell = shutil.which("unshare") or "unshare", shutil.which("sh")
    can = subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False)
    if can.returncode and not os.environ.get("CI"):
        pytest.skip("mount namespaces are not for this user")
    state = tmp_path / "state"
    state.mkdir()
    port = free_port()
    program = RunningProgram(
        tmp_path,
        "contained",
        f"--kubeconfig={east.server.kubeconfig()}",
        f"--emitter.cert-dir={state}/certificates",
        "--emitter.insecure-port=0",
        f"--emitter.secure-port={port}",
        f"--admin-socket={state}/admin.sock",
        command=(unshare, "--mount", shell, "-c", CONTAINED, "sh", state, shells(), *COMMAND),
    )
    try:
        program.wait_until_ready()
        process = Path(f"/proc/{program.pid}")
        status = dict(re.findall(r"^(\w+):\s*(.*)$", (process / "status").read_text(), re.M))
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16)) == (0, 0)
        assert status["NoNewPrivs"] == "1"
        mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
        roots = [options.split(",") for _, target, _, options, *_ in mounts if target == "/"]
        assert "ro" in roots[-1]
        hidden = {target for _, target, *_ in mounts}
        assert set(shells().split()) <= hidden

        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        url = f"https://127.0.0.1:{port}/api/v1/services"
        eventually(program.log, lambda: fetch(url, tls)[0] == 200)
        body = fetch(url, tls)[1]
        assert json.loads(body)["kind"] == "ServiceList"
        assert "Errno" not in program.log()
    finally:
        program.kill()
    assert list(state.iterdir()) == []


def test_the_manifests_ask_for_no_shell() -> None:
    """Neither their commands nor their probes."""
    for path in (Path(__file__).parents[2] / "manifests").rglob("*.yaml"):
        text = path.read_text()
        assert not re.search(r"\b(/bin/sh|bash|exec:|lifecycle:)", text), path
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["service-reflector"]' in dockerfile
