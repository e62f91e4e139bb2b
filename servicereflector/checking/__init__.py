"""``service-reflector check``: what would be in the way of the program, before it is installed.

Pure but for :mod:`.asking`, which asks the servers: answers in, findings out.
"""
