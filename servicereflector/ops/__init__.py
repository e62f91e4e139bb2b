"""What operators look at: health, metrics, logs; and the sockets that all of it is served on."""
