"""Clusters, programs and faults between them, from one seed, on one clock, without a socket.

It lives beside the tests because it stands on their model of ownership; see docs/failure.md.
"""
