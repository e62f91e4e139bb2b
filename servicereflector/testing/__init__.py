"""What this project's own tests stand on: certificates, and a real Kubernetes API server."""
