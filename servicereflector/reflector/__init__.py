"""The Reflector: the controller that keeps the host's mirrors equal to what the sources export."""
