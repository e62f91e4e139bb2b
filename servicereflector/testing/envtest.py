"""A real Kubernetes cluster without nodes, for tests: etcd and kube-apiserver as subprocesses.

Works with Kubernetes 1.20.2, which ``make envtest`` builds, and with what ``setup-envtest``
downloads. Everything blocks: it is for fixtures, and knows no reactor.

Trap: kube-apiserver 1.20.2 built with Go 1.19 or later crashes on an indented or YAML answer.
Never send it ``?pretty=1``, ``Accept: application/yaml`` or the User-Agent of curl, Wget or a
browser.
"""

import atexit
import itertools
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from servicereflector.testing import commandlines
from servicereflector.testing.binaries import Binaries, BinariesMissing, find_binaries
from servicereflector.testing.certificates import LIFETIME, Authority, write_private_key
from servicereflector.testing.credentialfiles import Tokens, write_kubeconfig, write_tokens
from servicereflector.testing.probing import answers, compact, verifying_opener
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
    :ivar etcd_url: Its etcd, which anybody may read and write.
    :ivar ca_file: PEM, what the server's certificate is to be verified with.
    :ivar admin_token: A bearer token of the group system:masters.
    :ivar directory: All of the cluster's files, removed by :meth:`stop`; ``*.log`` among them.
    :ivar audit_log: Where `audit` was given, what was asked of the server: a JSON document a line.
    """

    url: str
    etcd_url: str
    ca_file: Path
    directory: Path
    audit_log: Path

    def __init__(
        self,
        *,
        service_cluster_ip_range: str = "10.0.0.0/24",
        authorization_mode: Literal["AlwaysAllow", "RBAC"] = "AlwaysAllow",
        with_controller_manager: bool = False,
        tokens: Tokens | None = None,
        audit: Mapping[str, object] | None = None,
        extra_flags: Sequence[str] = (),
        binaries: Binaries | None = None,
    ) -> None:
        """Start nothing yet.

        :param tokens: Further bearer tokens: to each its user, uid and groups.
        :param audit: A Policy of audit.k8s.io/v1: what is logged of the requests.
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
        self._audit = audit
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
        compact(self.etcd_url, version)

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
            self._opener = verifying_opener(self.ca_file)
        for new, used in zip(self._server_authority.server(_NAMES), self._served, strict=True):
            new.replace(used)

    def replace_tokens(self, tokens: Tokens) -> None:
        """These are the tokens, beside the admin's, once :meth:`restart_apiserver` was called."""
        admin = self._tokens[self.admin_token]
        self._tokens = {**tokens, self.admin_token: admin}
        write_tokens(self._token_file, self._tokens)

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
        user = user or {"token": token or self.admin_token}
        write_kubeconfig(path, server or self.url, self.ca_file.read_bytes(), user)
        return path

    def _prepare(self) -> None:
        """Take ports, write keys, certificates and tokens, settle every command line."""
        directory = self.directory
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        self._server_authority = Authority.create(directory / "pki", "envtest-server-ca")
        self.ca_file = self._server_authority.ca_file
        self._served = self._server_authority.server(_NAMES)
        self._client_authority = Authority.create(directory / "pki", "envtest-client-ca")
        service_account_key = directory / "pki" / "service-accounts.key"
        write_private_key(service_account_key)
        self._token_file = directory / "tokens.csv"
        write_tokens(self._token_file, self._tokens)
        self._opener = verifying_opener(self.ca_file)
        binaries = self._binaries
        self._add("etcd", commandlines.etcd(binaries.etcd, directory, self.etcd_url))
        self.audit_log = directory / "audit.log"
        audit = commandlines.audit(directory, self.audit_log, self._audit) if self._audit else ()
        told = commandlines.Apiserver(
            etcd_url=self.etcd_url,
            port=port,
            directory=directory,
            certificate=self._served,
            client_ca=self._client_authority.ca_file,
            token_file=self._token_file,
            service_account_key=service_account_key,
            authorization_mode=self._authorization_mode,
            service_cluster_ip_range=self._service_cluster_ip_range,
            more=(*audit, *self._extra_flags),
        )
        self._add("kube-apiserver", told.command(binaries.kube_apiserver))
        if binaries.kube_controller_manager is not None and self._with_controller_manager:
            command = commandlines.controller_manager(
                binaries.kube_controller_manager,
                directory,
                kubeconfig=self.kubeconfig(directory / "controller-manager.kubeconfig"),
                root_ca=self.ca_file,
                service_account_key=service_account_key,
                minor=self._minor(),
            )
            self._add("kube-controller-manager", command)

    def _minor(self) -> int:
        match = re.match(r"v1\.(\d+)", self.version())
        return int(match[1]) if match else 99

    def _add(self, name: str, command: list[str]) -> None:
        self._processes[name] = Process(command, self.directory, f"{name}.log")

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
        return self._answers(self.etcd_url + "/health")

    def _apiserver_ready(self) -> bool:
        # It calls itself ready before it has made the namespace that everybody takes for granted.
        return all(self._answers(self.url + p) for p in ("/readyz", "/api/v1/namespaces/default"))

    def _controller_manager_ready(self) -> bool:
        """Its controllers work: one of them makes this object."""
        return self._answers(self.url + "/api/v1/namespaces/default/serviceaccounts/default")

    def _answers(self, url: str) -> bool:
        return answers(self._opener, url, self.admin_token)
