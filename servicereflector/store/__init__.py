"""The versioned store: the objects of one resource, their recent history, and readers of it."""
