"""The ports that servers of tests are given."""

from __future__ import annotations

import socket
import sys

import pytest

from servicereflector.testing.processes import free_port


def is_taken(port: int) -> bool:
    """Seen as other processes do that look for a free one."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is not kept")
def test_a_port_is_kept_from_others_before_and_after_its_server_listens() -> None:
    port = free_port()
    assert is_taken(port)
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)):  # sets SO_REUSEADDR
            pass
        assert is_taken(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
