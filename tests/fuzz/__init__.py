"""Every parser of a stranger's bytes, given bytes that no honest stranger sends; see
docs/fuzzing.md."""
