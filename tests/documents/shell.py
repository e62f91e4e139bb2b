"""A shell in which the documents' commands are those of the installation under test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from .blocks import ROOT

_PROGRAM = """#!/bin/bash
cd {directory} && exec {python} -m servicereflector "$@"
"""

# Its own environment is the one that is there.
_MAKE = """#!/bin/bash
exec {make} --no-print-directory -C {root} -o {venv}/installed "$@" VENV={venv}
"""

# Here is no kubelet: what needs a Pod is done beside the cluster, as nodes.py has it.
_KUBECTL = """#!/bin/bash
context={context} target=
for ((i = 1; i <= $#; i++)); do
  case ${{!i}} in
    --context) i=$((i + 1)); context=${{!i}} ;;
    deployment/*) target=${{!i#deployment/}} ;;
  esac
done
case " $* " in
  *" rollout status "* | *" exec "*)
    node=$NODES/$context
    for ((i = 0; i < 300; i++)); do [ -e $node/$target.ready ] && break; sleep 0.1; done
    [ -e $node/$target.ready ] || {{ echo "no Pod of $target is ready in $context" >&2; exit 1; }}
    [[ " $* " != *" exec "* ]] && exit
    while [ "$1" != -- ]; do shift; done
    XDG_RUNTIME_DIR=$node exec "${{@:2}}" ;;
esac
exec {kubectl} "$@"
"""


_BASH = ("bash", "-euo", "pipefail", "-c")


class Shell:
    """
    :ivar directory: where commands run, beside the repository's manifests; their HOME, too.
    """

    def __init__(self, directory: Path, *, context: str = "east", **environ: str) -> None:
        """
        :param context: which is kubectl's where a command names none.
        """
        self.directory = directory
        venv = directory / "venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "installed").touch()
        (directory / "manifests").symlink_to(ROOT / "manifests")
        make = shutil.which("make")
        assert make is not None, "make is needed"
        values = {
            "directory": directory,
            "python": sys.executable,
            "make": make,
            "root": ROOT,
            "venv": venv,
            "context": context,
            "kubectl": Path(sys.executable).with_name("kubectl"),
        }
        scripts = {"service-reflector": _PROGRAM, "make": _MAKE, "kubectl": _KUBECTL}
        for name, script in scripts.items():
            path = venv / "bin" / name
            path.write_text(script.format(**values))
            path.chmod(0o755)
        passed = {k: v for k, v in os.environ.items() if k.startswith(("PYTHONPATH", "COVERAGE"))}
        self._environ = {
            "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
            "HOME": str(directory),
            "TMPDIR": str(directory),
            **passed,
            **environ,
        }

    @contextmanager
    def running(self, script: str) -> Iterator[Path]:
        """While it runs, the file of what it prints. In the end it gets Ctrl-C, and must end."""
        log = self.directory / "running.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_BASH, script],
                cwd=self.directory,
                env=self._environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise

    def run(self, script: str, statuses: Container[int] = (0,), **environ: str) -> str:
        """What it prints; it must end with one of these statuses."""
        ran = subprocess.run(
            [*_BASH, script],
            cwd=self.directory,
            env=self._environ | environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert ran.returncode in statuses, f"{ran.returncode}: {ran.stderr}{ran.stdout}"
        return ran.stdout
