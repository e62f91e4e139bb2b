"""A writable in-memory Kubernetes API: the demo's clusters, and the tests' other end.

It is right only because one contract suite passes against it and against a real kube-apiserver.
"""
