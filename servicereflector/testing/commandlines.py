"""How etcd and the servers of Kubernetes are told what tests need of them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servicereflector.testing.processes import free_port

__all__ = ["Apiserver", "audit", "controller_manager", "etcd"]


def etcd(program: Path, directory: Path, url: str) -> list[str]:
    """
    :param directory: where it keeps its data, in a directory of its own.
    :param url: where its clients find it.
    """
    peer = f"http://127.0.0.1:{free_port()}"
    flags = [
        "--name=envtest",
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=envtest={peer}",
    ]
    known = subprocess.run([program, "--help"], check=False, capture_output=True, text=True)
    if "--unsafe-no-fsync" in known.stdout + known.stderr:
        flags.append("--unsafe-no-fsync")  # what was written outlives kill -9 all the same
    return [str(program), *flags]


def audit(directory: Path, log: Path, policy: Mapping[str, object]) -> list[str]:
    """The flags by which kube-apiserver logs what it is asked.

    :param directory: where the policy is written.
    :param policy: a Policy of audit.k8s.io/v1.
    """
    file = directory / "audit-policy.json"
    file.write_text(json.dumps(policy))
    return [f"--audit-policy-file={file}", f"--audit-log-path={log}"]


@dataclass(frozen=True, slots=True)
class Apiserver:
    """What kube-apiserver is told.

    :ivar certificate: its own, and its key.
    :ivar client_ca: verifies the certificates of clients.
    :ivar more: added to its flags, after them.
    """

    etcd_url: str
    port: int
    directory: Path
    certificate: tuple[Path, Path]
    client_ca: Path
    token_file: Path
    service_account_key: Path
    authorization_mode: str
    service_cluster_ip_range: str
    more: Sequence[str]

    def command(self, program: Path) -> list[str]:
        certificate, key = self.certificate
        return [
            str(program),
            f"--etcd-servers={self.etcd_url}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self.directory}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.client_ca}",
            f"--token-auth-file={self.token_file}",
            f"--authorization-mode={self.authorization_mode}",
            f"--service-cluster-ip-range={self.service_cluster_ip_range}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.service_account_key}",
            f"--service-account-signing-key-file={self.service_account_key}",
            # 127.0.0.1 is no valid endpoint address of the Service "kubernetes".
            "--endpoint-reconciler-type=none",
            # Pods are to be had without a service account's token being made first.
            "--disable-admission-plugins=ServiceAccount",
            *self.more,
        ]


def controller_manager(
    program: Path,
    directory: Path,
    *,
    kubeconfig: Path,
    root_ca: Path,
    service_account_key: Path,
    minor: int,
) -> list[str]:
    """
    :param minor: of Kubernetes' version.
    """
    flags = [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={service_account_key}",
        f"--root-ca-file={root_ca}",
        f"--cert-dir={directory}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
    ]
    if minor < 24:  # an insecure port by default until 1.21, no such flag from 1.24
        flags.append("--port=0")
    return [str(program), *flags]
