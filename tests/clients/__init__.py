"""Clients that other people wrote, at the Emitter of a real cluster."""
