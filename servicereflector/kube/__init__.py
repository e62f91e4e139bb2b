"""The Kubernetes protocol as plain values: nothing here knows a socket, a clock or a reactor."""
