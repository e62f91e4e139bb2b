"""The Emitter: a Kubernetes API, for reading, over stores."""
