"""For each flag a command line that has it, as one would type it into a shell."""

from __future__ import annotations

_WEBHOOK = "--emitter.authentication=webhook"
_PAIR = "--emitter.tls-cert-file=/tls/tls.crt --emitter.tls-private-key-file=/tls/tls.key"
_TOKENS = "--emitter.token-auth-file=/access/tokens.csv"
_EAST = "--source-api=east=https://10.1.2.3:6443"

#: Of the program's own; ``plan`` and ``check`` take them, too.
PROGRAM = {
    "kubeconfig": "--kubeconfig=/etc/service-reflector/kubeconfig",
    "admin-socket": "--admin-socket=/run/service-reflector/admin.sock",
    "namespace": "--namespace=shop",
    "listen": "--listen=127.0.0.1:9090",
    "status-page": "--status-page=false",
    "log-level": "--log-level=debug",
    "log-format": "--log-format=json",
    "version": "--version",
    "client.connect-timeout": "--client.connect-timeout=3s",
    "client.request-timeout": "--client.request-timeout=15s",
    "client.list-timeout": "--client.list-timeout=2m",
    "client.idle-timeout": "--client.idle-timeout=2m",
    "client.max-line-bytes": "--client.max-line-bytes=4Mi",
    "client.max-body-bytes": "--client.max-body-bytes=64Mi",
    "client.max-reads": "--client.max-reads=4",
    "emitter": "--emitter=false",
    "reflector": "--reflector=false",
    "emitter.selector": "--emitter.selector='mirror=yes,tier!=internal'",
    "emitter.bind-address": "--emitter.bind-address=10.1.2.3",
    "emitter.secure-port": "--emitter.secure-port=443",
    "emitter.insecure-bind-address": "--emitter.insecure-bind-address=127.0.0.1",
    "emitter.insecure-port": "--emitter.insecure-port=0",
    "emitter.tls-cert-file": _PAIR,
    "emitter.tls-private-key-file": _PAIR,
    "emitter.cert-dir": "--emitter.cert-dir=/var/lib/service-reflector",
    "emitter.tls-min-version": "--emitter.tls-min-version=VersionTLS13",
    "emitter.tls-cipher-suites": "--emitter.tls-cipher-suites="
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "emitter.tls-sni-cert-key": "--emitter.tls-sni-cert-key="
    "/tls/east.crt,/tls/east.key:east.example.com",
    "emitter.client-ca-file": "--emitter.client-ca-file=/access/clients.crt",
    "emitter.token-auth-file": _TOKENS,
    "emitter.authentication": _WEBHOOK,
    "emitter.authorization": f"{_WEBHOOK} --emitter.authorization=webhook",
    "emitter.views": f"{_TOKENS} --emitter.views=/access/views.yaml",
    "emitter.insecure-anonymous": f"{_TOKENS} --emitter.insecure-anonymous",
    "emitter.max-connections": "--emitter.max-connections=2000",
    "emitter.max-connections-per-client": "--emitter.max-connections-per-client=50",
    "emitter.header-timeout": "--emitter.header-timeout=5s",
    "emitter.max-watches": "--emitter.max-watches=2000",
    "emitter.max-watches-per-client": "--emitter.max-watches-per-client=10",
    "emitter.max-lists": "--emitter.max-lists=20",
    "emitter.max-lists-per-client": "--emitter.max-lists-per-client=4",
    "emitter.http2-max-streams-per-connection": "--emitter.http2-max-streams-per-connection=250",
    "reflector.selector": "--reflector.selector=tier=public",
    "reflector.source-api": f"{_EAST},ca-file=/access/east.crt,token-file=/access/east.token",
    "reflector.source-kubeconfig": "--source-kubeconfig=east=/kubeconfigs/east",
    "reflector.source-dir": "--reflector.source-dir=/sources",
    "reflector.source-selector": "--reflector.source-selector=east=tier=public",
    "reflector.stale-after": "--reflector.stale-after=5m,east=30s",
    "reflector.remove-after": "--reflector.remove-after=1h,east=10m",
    "reflector.max-services": "--reflector.max-services=1000",
    "reflector.max-slices": "--reflector.max-slices=5000",
    "reflector.max-source-bytes": "--reflector.max-source-bytes=64Mi",
    "reflector.max-delete-fraction": "--reflector.max-delete-fraction=0.2",
    "reflector.delete-hold": "--reflector.delete-hold=30m",
    "reflector.compare-period": "--reflector.compare-period=1h",
    "reflector.namespaces": "--reflector.namespaces='shop,east=team-*'",
    "reflector.deny-namespaces": "--reflector.deny-namespaces='kube-*,east=admin'",
    "reflector.allow-cidr": "--reflector.allow-cidr=10.0.0.0/8,east=100.64.0.0/16",
    "reflector.map-cidr": "--reflector.map-cidr=east=10.1.0.0/16=100.64.0.0/16",
    "reflector.deny-ports": "--reflector.deny-ports=22,east=1-1023",
    "reflector.service-cidr": "--reflector.service-cidr=10.96.0.0/12,fd00:10:96::/112",
    "reflector.create-namespaces": "--reflector.create-namespaces=false",
    "reflector.delete-namespaces": "--reflector.delete-namespaces",
    "reflector.name-template": "--reflector.name-template='{source}-{name}'",
    "reflector.namespace-template": "--reflector.namespace-template='{source}-{namespace}'",
    "reflector.ignored-labels": "--reflector.ignored-labels='team.example.com/*'",
    "reflector.ignored-annotations": "--reflector.ignored-annotations='team.example.com/*'",
    "reflector.prune": "--reflector.prune",
    "reflector.endpoints-api": "--reflector.endpoints-api=endpointslices",
    "reflector.external-names": "--reflector.external-names=east=false",
    "reflector.hints": "--reflector.hints",
    "reflector.leader-elect": "--reflector.leader-elect",
    "reflector.leader-elect-lease-duration": "--reflector.leader-elect-lease-duration=30s",
    "reflector.leader-elect-renew-deadline": "--reflector.leader-elect-renew-deadline=12s",
    "reflector.leader-elect-retry-period": "--reflector.leader-elect-retry-period=4s",
    "reflector.leader-elect-resource-name": "--reflector.leader-elect-resource-name=mirrors",
    "reflector.leader-elect-resource-namespace": "--reflector.leader-elect-resource-namespace="
    "mirroring",
}

#: Of each command's own, with its arguments.
COMMANDS = {
    "check": {
        "timeout": f"check --timeout=3s {_EAST}",
        "probe": f"check --probe=false {_EAST}",
        "output": f"check -o json {_EAST}",
    },
    "plan": {
        "timeout": f"plan --timeout=1m {_EAST}",
        "output": f"plan -o json {_EAST}",
    },
    "status": {
        "admin-socket": "status --admin-socket=/run/service-reflector/admin.sock",
        "output": "status -o json",
    },
    "explain": {
        "admin-socket": "explain shop/cart --admin-socket=/run/service-reflector/admin.sock",
        "output": "explain shop/cart -o json",
    },
    "release": {
        "admin-socket": "release east --admin-socket=/run/service-reflector/admin.sock",
    },
    "forget": {
        "admin-socket": "forget east --admin-socket=/run/service-reflector/admin.sock",
    },
    "demo": {
        "once": "demo --once",
        "kubeconfig-dir": "demo --kubeconfig-dir=/tmp/demo",
    },
}
