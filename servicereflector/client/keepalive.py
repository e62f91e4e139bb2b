"""TCP keepalive: how a peer is noticed that has vanished without a word."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import ITCPTransport

#: Seconds and probes: noticed after a minute. Linux' own default is two hours. Names that a
#: platform lacks are left out.
_OPTIONS = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def keep_alive(transport: object) -> None:
    """Have the kernel ask whether the peer is still there; what is no TCP stays as it is."""
    if not ITCPTransport.providedBy(transport):
        return
    transport.setTcpKeepAlive(True)
    handle = transport.getHandle()  # type: ignore[attr-defined]  # tcp.Connection
    for name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
