"""What the program expects of a Kubernetes API, asked of the embedded one and of a real one."""
