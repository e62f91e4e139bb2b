"""What a node does for the program's Pods, without containers: it runs the program with the
arguments of the Deployment, as its ServiceAccount, and writes ConfigMaps and Secrets to where they
are mounted. A ClusterIP leads to it, in so far as sources name one.
"""

from __future__ import annotations

import base64
import threading
from pathlib import Path

from e2e.clusters import Cluster, Json, RunningProgram, eventually
from e2e.installs import groups

from servicereflector.testing.credentialfiles import Tokens
from servicereflector.testing.processes import free_port

#: Of the program's Pods, in the namespace default.
ACCOUNTS = ("service-reflector", "service-reflector-emitter", "service-reflector-reflector")

#: Each port, and the flag of its address.
_PORTS = {
    "--emitter.secure-port": "--emitter.bind-address",
    "--emitter.insecure-port": "--emitter.insecure-bind-address",
}


def tokens() -> Tokens:
    """For the API server: of each account the token by which its Pods are known."""
    users = {name: f"system:serviceaccount:default:{name}" for name in ACCOUNTS}
    return {f"token-of-{name}": (user, name, groups(user)) for name, user in users.items()}


class Node:
    """The one of a cluster, while its context is entered.

    :ivar directory: of the Pods' files. ``NAME.ready`` is there while the Deployment NAME is.
    :ivar failure: why it runs nothing any more.
    """

    def __init__(self, cluster: Cluster, directory: Path, routes: dict[str, str]) -> None:
        """
        :param routes: for all nodes the same: where ClusterIPs and their ports lead.
        """
        self._cluster, self.directory, self._routes = cluster, directory, routes
        self.pods: dict[str, list[RunningProgram]] = {}
        self._told: dict[str, Json] = {}
        self._ended = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)  # its processes end with it

    def __enter__(self) -> Node:
        self.directory.mkdir()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._ended.wait(0.1):
                self._step()
        except BaseException as failure:
            self.failure = failure
        finally:
            for name in list(self.pods):
                self._end(name)

    def _step(self) -> None:
        found = self._cluster.must("GET", "/apis/apps/v1/namespaces/default/deployments")["items"]
        wanted = {deployment["metadata"]["name"]: deployment["spec"] for deployment in found}
        for name in list(self.pods):
            if self._told[name] != wanted.get(name):
                self._end(name)
        for name, spec in wanted.items():
            mounts = self._mount(name, spec["template"]["spec"])
            if name not in self.pods and mounts is not None:
                self._told[name] = spec
                self.pods[name] = [
                    self._start(name, number, spec["template"]["spec"], mounts)
                    for number in range(spec["replicas"])
                ]
            for pod in self.pods.get(name, ()):
                assert pod.pid is not None, pod.log()
            if self.pods.get(name) and all(pod.is_ready() for pod in self.pods[name]):
                (self.directory / f"{name}.ready").touch()

    def _end(self, name: str) -> None:
        """As a kubelet does; the Lease is given away, so that the next one need not wait."""
        (self.directory / f"{name}.ready").unlink(missing_ok=True)
        for pod in self.pods.pop(name):
            if pod.pid is not None:
                pod.terminate()
            eventually(pod.log, lambda p=pod: p.pid is None)  # type: ignore[misc]

    def _mount(self, name: str, pod: Json) -> dict[str, str] | None:
        """Write what its volumes have now. Of each mount the directory; None where one waits."""
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {}
        for mount in pod["containers"][0]["volumeMounts"]:
            volume = volumes[mount["name"]]
            directory = self.directory / name / mount["name"]
            directory.mkdir(parents=True, exist_ok=True)
            mounts[mount["mountPath"]] = str(directory)
            sources = volume.get("projected", {}).get("sources", [])
            if "secret" in volume:
                sources = [{"secret": {"name": volume["secret"]["secretName"]}}]
            files: dict[str, bytes] = {}
            for source in sources:
                ((kind, told),) = source.items()
                data = self._data(f"{kind.lower()}s", told["name"])
                if data is None and not told.get("optional"):
                    return None
                files |= data or {}
            if sources:
                _write(directory, files)
        return mounts

    def _data(self, kind: str, name: str) -> dict[str, bytes] | None:
        found = self._cluster.get(kind, f"default/{name}")
        if found is None:
            return None
        data = (found.get("data") or {}).items()
        if kind == "secrets":
            return {key: base64.b64decode(value) for key, value in data}
        return {key: self._lead(value).encode() for key, value in data}

    def _lead(self, text: str) -> str:
        for there, here in self._routes.items():
            text = text.replace(there, here)
        return text

    def _start(self, name: str, number: int, pod: Json, mounts: dict[str, str]) -> RunningProgram:
        """The first of several is the one that ClusterIPs lead to."""
        told = dict(a.partition("=")[::2] for a in pod["containers"][0]["args"])
        told.pop("--listen")
        for flag in _PORTS.keys() & told.keys():
            if told[flag] != "0":
                told[_PORTS[flag]] = "127.0.0.1"
                served, told[flag] = told[flag], str(free_port())
                if not number:
                    service = self._cluster.get("services", f"default/{name}") or {}
                    ip = service["spec"]["clusterIP"]
                    self._routes[f"{ip}:{served}"] = f"127.0.0.1:{told[flag]}"
        arguments = [f"{flag}={value}" if value else flag for flag, value in told.items()]
        for mounted, directory in mounts.items():
            arguments = [argument.replace(f"={mounted}", f"={directory}") for argument in arguments]
        socket = "service-reflector/admin.sock"  # beneath XDG_RUNTIME_DIR, where commands look
        if number:
            socket = f"{name}-{number}.sock"
        token = f"token-of-{pod['serviceAccountName']}"
        return RunningProgram(
            self.directory / f"{name}-{number}",
            "program",
            f"--kubeconfig={self._cluster.server.kubeconfig(token=token)}",
            f"--admin-socket={self.directory / socket}",
            *arguments,
        )


def _write(directory: Path, files: dict[str, bytes]) -> None:
    """These and no others; nothing is touched that is as it should be."""
    for path in directory.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        path = directory / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
