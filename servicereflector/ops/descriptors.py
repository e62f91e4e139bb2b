"""How many files, sockets among them, the process may have open."""

from __future__ import annotations

import resource

#: For everything but the connections that are counted: files, the clients' own connections, pipes.
RESERVED = 256


def room_for(connections: int) -> int:
    """How many connections there can be, up to this number: the soft limit is raised as far as
    that needs and the hard one allows.

    :param connections: 0 for as many as there can be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = connections + RESERVED if connections else hard
    if soft != unlimited and (wanted == unlimited or wanted > soft):
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == unlimited:
        return connections
    return max(1, min(connections or soft, soft - RESERVED))
