"""TCP keepalive: how a peer is noticed that has vanished without a word."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import ITCPTransport
from twisted.protocols.policies import ProtocolWrapper

#: Seconds and probes: noticed after a minute. Linux' own default is two hours. Names that a
#: platform lacks are left out.
_OPTIONS = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def keep_alive(transport: object) -> None:
    """Have the kernel ask whether the peer is still there; what is no TCP stays as it is."""
    while isinstance(transport, ProtocolWrapper):  # TLS: the socket is beneath it
        transport = transport.transport
    if not ITCPTransport.providedBy(transport):
        return
    handle = transport.getHandle()  # type: ignore[attr-defined]  # tcp.Connection
    if handle.family not in (socket.AF_INET, socket.AF_INET6):
        return  # Twisted's Unix sockets say that they were TCP
    transport.setTcpKeepAlive(True)
    for name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            handle.setsockopt(socket.IPPROTO_TCP, option, value)
