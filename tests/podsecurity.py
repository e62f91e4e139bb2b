"""What Kubernetes' Pod Security Standards forbid at the level "restricted", "baseline" included.

Field by field as https://kubernetes.io/docs/concepts/security/pod-security-standards/ lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SELINUX = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SECCOMP = ("RuntimeDefault", "Localhost")
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop")


def violations(template: Mapping[str, Any]) -> list[str]:
    """The fields of a Pod, or of a template, that the level "restricted" does not allow."""
    return [*_of_pod(template), *_of_containers(template["spec"])]


def _of_pod(template: Mapping[str, Any]) -> Iterator[str]:
    spec = template["spec"]
    context = spec.get("securityContext", {})
    for member in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(member):
            yield member
    for volume in spec.get("volumes", ()):
        if not volume.keys() <= {"name"} | _VOLUMES:
            yield f"volume {volume['name']}"
    if {sysctl["name"] for sysctl in context.get("sysctls", ())} - _SYSCTLS:
        yield "sysctls"
    for name in template.get("metadata", {}).get("annotations", {}):
        if name.startswith("container.apparmor.security.beta.kubernetes.io/"):
            yield f"annotation {name}"
    yield from _of_context(context)


def _of_containers(spec: Mapping[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    for container in (one for kind in _CONTAINERS for one in spec.get(kind, ())):
        own = container.get("securityContext", {})
        yield from _of_context(own)
        if own.get("privileged"):
            yield "privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", ()):
            yield "capabilities.drop"
        if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
            yield "capabilities.add"
        if own.get("procMount", "Default") != "Default":
            yield "procMount"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield "runAsNonRoot"
        profile = own.get("seccompProfile", pod.get("seccompProfile", {}))
        if profile.get("type") not in _SECCOMP:
            yield "seccompProfile"
        if any(port.get("hostPort") for port in container.get("ports", ())):
            yield "hostPort"
        for name in _HANDLERS:
            handler = {**container, **container.get("lifecycle", {})}.get(name, {})
            if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
                yield f"{name}.host"


def _of_context(context: Mapping[str, Any]) -> Iterator[str]:
    """What Pods and containers have in common."""
    if context.get("runAsUser") == 0:
        yield "runAsUser"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    apparmor = context.get("appArmorProfile", {}).get("type", "RuntimeDefault")
    if apparmor not in _SECCOMP:
        yield "appArmorProfile"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in _SELINUX or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
