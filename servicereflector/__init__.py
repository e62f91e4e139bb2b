"""Mirror selected Kubernetes Services from other clusters into this one."""

__version__ = "1.0.0.dev0"
