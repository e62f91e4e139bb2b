"""Who may ask the Emitter, and for what."""
