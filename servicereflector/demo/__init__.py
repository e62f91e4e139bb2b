"""The demo: two embedded clusters in one process that mirror each other over loopback."""
