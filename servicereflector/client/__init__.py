"""How the program talks to an API: kubeconfig and credentials, TLS, and the HTTP client."""
