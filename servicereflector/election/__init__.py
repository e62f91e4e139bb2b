"""Which of several replicas writes: leader election over a Lease, as client-go does it."""
