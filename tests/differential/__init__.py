"""The same requests to a real kube-apiserver and to the Emitter in front of it."""
