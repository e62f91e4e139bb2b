"""A real Kubernetes cluster without nodes, for tests: etcd and kube-apiserver as subprocesses.

Works with Kubernetes 1.20.2, which ``make envtest`` builds, and with what ``setup-envtest``
downloads. Everything blocks: it is for fixtures, and knows no reactor.

Trap: kube-apiserver 1.20.2 built with Go 1.19 or later crashes on an indented or YAML answer.
Never send it ``?pretty=1``, ``Accept: application/yaml`` or the User-Agent of curl, Wget or a
browser.
"""

import atexit
import base64
import csv
import http.client
import itertools
import json
import re
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from servicereflector.testing.binaries import Binaries, BinariesMissing, find_binaries
from servicereflector.testing.certificates import LIFETIME, Authority, write_private_key
from servicereflector.testing.processes import Process, free_port

__all__ = ["ApiServer", "Binaries", "BinariesMissing", "StartFailed", "find_binaries"]

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05

#: Whom the server's certificate is for.
_NAMES = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc")


class StartFailed(Exception):
    """A server ended, or did not become ready in time; the message has the tail of its log."""


class ApiServer:
    """One cluster of its own: etcd, kube-apiserver and, if asked for, kube-controller-manager.

    A context manager; :meth:`start` makes a new, empty cluster each time. The servers die with the
    thread that started them (see :mod:`servicereflector.testing.processes`).

    :ivar url: ``https://127.0.0.1:PORT``, the same from start to stop.
    :ivar ca_file: PEM, what the server's certificate is to be verified with.
    :ivar admin_token: A bearer token of the group system:masters.
    :ivar directory: All of the cluster's files, removed by :meth:`stop`; ``*.log`` among them.
    """

    url: str
    ca_file: Path
    directory: Path

    def __init__(
        self,
        *,
        service_cluster_ip_range: str = "10.0.0.0/24",
        authorization_mode: Literal["AlwaysAllow", "RBAC"] = "AlwaysAllow",
        with_controller_manager: bool = False,
        tokens: Mapping[str, tuple[str, str, Sequence[str]]] | None = None,
        extra_flags: Sequence[str] = (),
        binaries: Binaries | None = None,
    ) -> None:
        """Start nothing yet.

        :param tokens: Further bearer tokens: to each its user, uid and groups.
        :param extra_flags: Added to kube-apiserver's, after them.
        :raise BinariesMissing: As :func:`find_binaries`, which is asked unless `binaries` is given.
        """
        self._binaries = find_binaries() if binaries is None else binaries
        if with_controller_manager and self._binaries.kube_controller_manager is None:
            raise BinariesMissing(
                f"no kube-controller-manager beside {self._binaries.kube_apiserver}:"
                " `make envtest` without KUBEBUILDER_ASSETS builds one"
            )
        self.admin_token = secrets.token_hex(16)
        self._tokens = {
            **(tokens or {}),
            self.admin_token: ("envtest-admin", "envtest-admin", ("system:masters",)),
        }
        self._service_cluster_ip_range = service_cluster_ip_range
        self._authorization_mode = authorization_mode
        self._with_controller_manager = with_controller_manager
        self._extra_flags = extra_flags
        self._processes: dict[str, Process] = {}
        self._kubeconfigs = itertools.count(1)

    def __enter__(self) -> "ApiServer":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the cluster is ready.

        :raise StartFailed: It did not become so; nothing of it is left then.
        """
        if self._processes:
            raise RuntimeError("this ApiServer has been started")
        self.directory = Path(tempfile.mkdtemp(prefix="service-reflector-envtest-"))
        atexit.register(self.stop)
        try:
            self._prepare()
            self.restart_etcd()
            self.restart_apiserver()
            if self._with_controller_manager:
                self._start("kube-controller-manager", self._controller_manager_ready)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the servers and remove their files. Does nothing where nothing runs."""
        for process in reversed(self._processes.values()):
            process.kill()
        self._processes.clear()
        atexit.unregister(self.stop)
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of the servers that run, by program name."""
        return {
            name: process.pid
            for name, process in self._processes.items()
            if process.pid is not None
        }

    def kill_apiserver(self) -> None:
        """End kube-apiserver with SIGKILL; etcd keeps its data."""
        self._processes["kube-apiserver"].kill()

    def restart_apiserver(self) -> None:
        """Kill kube-apiserver if it runs, start it on the same port, return when it is ready."""
        self._start("kube-apiserver", self._apiserver_ready)

    def kill_etcd(self) -> None:
        """End etcd with SIGKILL; kube-apiserver runs on, and cannot answer."""
        self._processes["etcd"].kill()

    def restart_etcd(self) -> None:
        """Kill etcd if it runs, start it with the same data, return when all is ready again."""
        self._start("etcd", self._etcd_ready)
        if "kube-apiserver" in self.pids:
            self._await("kube-apiserver", self._apiserver_ready)

    def version(self) -> str:
        """Ask this kube-apiserver what it is, such as ``v1.20.2``. Needs no running server."""
        said = subprocess.run(
            [self._binaries.kube_apiserver, "--version"], check=True, capture_output=True, text=True
        ).stdout
        return said.split()[-1]

    def compact_etcd(self, version: str | int) -> None:
        """Have etcd forget what was before a resourceVersion, which may be the newest one.

        A watch that begins earlier is answered with 410 once kube-apiserver has been restarted,
        whose cache reaches further back.
        """
        request = urllib.request.Request(
            f"{self._etcd_url}/v3/kv/compaction",
            data=json.dumps({"revision": str(version), "physical": True}).encode(),
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30):
            pass

    def client_certificate(
        self, user: str, groups: Sequence[str] = (), lifetime: timedelta = LIFETIME
    ) -> tuple[Path, Path]:
        """Issue a certificate that authenticates `user`; the paths of it and of its key."""
        return self._client_authority.client(user, groups, lifetime)

    def replace_server_certificate(self, *, authority: str | None = None) -> None:
        """Issue another server certificate, which :meth:`restart_apiserver` has the server show.

        :param authority: The name of a new authority, which :attr:`ca_file` is from now on; by
            default it is issued by the one that there is.
        """
        if authority is not None:
            self._server_authority = Authority.create(self.directory / "pki", authority)
            self.ca_file = self._server_authority.ca_file
            self._opener = self._verifying_opener()
        for new, used in zip(self._server_authority.server(_NAMES), self._served, strict=True):
            new.replace(used)

    def replace_tokens(self, tokens: Mapping[str, tuple[str, str, Sequence[str]]]) -> None:
        """These are the tokens, beside the admin's, once :meth:`restart_apiserver` was called."""
        admin = self._tokens[self.admin_token]
        self._tokens = {**tokens, self.admin_token: admin}
        self._write_tokens()

    def kubeconfig(
        self,
        path: Path | None = None,
        token: str | None = None,
        *,
        server: str | None = None,
        user: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a kubeconfig, to `path` or beside the cluster's files, for `token` or the admin.

        :param server: The URL that it names, such as a proxy's; by default :attr:`url`.
        :param user: What it tells of the user, in place of a token.
        """
        if path is None:
            path = self.directory / f"kubeconfig-{next(self._kubeconfigs)}"
        authority = base64.b64encode(self.ca_file.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "envtest",
            "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "envtest"}}],
            "clusters": [
                {
                    "name": "envtest",
                    "cluster": {
                        "server": server or self.url,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [
                {"name": "envtest", "user": dict(user or {"token": token or self.admin_token})}
            ],
        }
        # In one step: who reads it may do so at any time.
        unfinished = path.with_name(f".{path.name}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(config))  # JSON is YAML
        unfinished.replace(path)
        return path

    def _prepare(self) -> None:
        """Take ports, write keys, certificates and tokens, settle every command line."""
        directory = self.directory
        self._etcd_url = f"http://127.0.0.1:{free_port()}"
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        self._server_authority = Authority.create(directory / "pki", "envtest-server-ca")
        self.ca_file = self._server_authority.ca_file
        certificate, key = self._served = self._server_authority.server(_NAMES)
        self._client_authority = Authority.create(directory / "pki", "envtest-client-ca")
        service_account_key = directory / "pki" / "service-accounts.key"
        write_private_key(service_account_key)
        self._token_file = directory / "tokens.csv"
        self._write_tokens()
        self._opener = self._verifying_opener()
        self._add("etcd", self._binaries.etcd, self._etcd_flags())
        self._add(
            "kube-apiserver",
            self._binaries.kube_apiserver,
            [
                f"--etcd-servers={self._etcd_url}",
                f"--secure-port={port}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--cert-dir={directory}",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={self._client_authority.ca_file}",
                f"--token-auth-file={self._token_file}",
                f"--authorization-mode={self._authorization_mode}",
                f"--service-cluster-ip-range={self._service_cluster_ip_range}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={service_account_key}",
                f"--service-account-signing-key-file={service_account_key}",
                # 127.0.0.1 is no valid endpoint address of the Service "kubernetes".
                "--endpoint-reconciler-type=none",
                # Pods are to be had without a service account's token being made first.
                "--disable-admission-plugins=ServiceAccount",
                *self._extra_flags,
            ],
        )
        if self._binaries.kube_controller_manager is not None and self._with_controller_manager:
            flags = [
                f"--kubeconfig={self.kubeconfig(directory / 'controller-manager.kubeconfig')}",
                f"--service-account-private-key-file={service_account_key}",
                f"--root-ca-file={self.ca_file}",
                f"--cert-dir={directory}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--secure-port=0",
            ]
            if self._minor() < 24:  # an insecure port by default until 1.21, no such flag from 1.24
                flags.append("--port=0")
            self._add("kube-controller-manager", self._binaries.kube_controller_manager, flags)

    def _write_tokens(self) -> None:
        self._token_file.touch(mode=0o600)
        with self._token_file.open("w", newline="") as stream:
            rows = csv.writer(stream)
            for token, (user, uid, groups) in self._tokens.items():
                rows.writerow([token, user, uid, ",".join(groups)])

    def _verifying_opener(self) -> urllib.request.OpenerDirector:
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca_file)),
        )

    def _etcd_flags(self) -> list[str]:
        peer = f"http://127.0.0.1:{free_port()}"
        flags = [
            "--name=envtest",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=envtest={peer}",
        ]
        known = subprocess.run(
            [self._binaries.etcd, "--help"], check=False, capture_output=True, text=True
        )
        if "--unsafe-no-fsync" in known.stdout + known.stderr:
            flags.append("--unsafe-no-fsync")  # what was written outlives kill -9 all the same
        return flags

    def _minor(self) -> int:
        match = re.match(r"v1\.(\d+)", self.version())
        return int(match[1]) if match else 99

    def _add(self, name: str, program: Path, flags: Sequence[str]) -> None:
        self._processes[name] = Process([str(program), *flags], self.directory, f"{name}.log")

    def _start(self, name: str, ready: Callable[[], bool]) -> None:
        self._processes[name].kill()
        self._processes[name].start()
        self._await(name, ready)

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        process = self._processes[name]
        deadline = time.monotonic() + _READY_SECONDS
        while not ready():
            if process.pid is None:
                raise StartFailed(f"{name} ended\n{process.log_tail()}")
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{name} was not ready within {_READY_SECONDS:.0f} s\n{process.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def _etcd_ready(self) -> bool:
        return self._answers(self._etcd_url + "/health")

    def _apiserver_ready(self) -> bool:
        # It calls itself ready before it has made the namespace that everybody takes for granted.
        return all(self._answers(self.url + p) for p in ("/readyz", "/api/v1/namespaces/default"))

    def _controller_manager_ready(self) -> bool:
        """Its controllers work: one of them makes this object."""
        return self._answers(self.url + "/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, url: str) -> bool:
        headers = {"Authorization": f"Bearer {self.admin_token}", "User-Agent": "envtest"}
        try:
            with self._opener.open(urllib.request.Request(url, headers=headers), timeout=5):
                return True
        except (OSError, http.client.HTTPException):  # no or half an answer, or an HTTPError
            return False
