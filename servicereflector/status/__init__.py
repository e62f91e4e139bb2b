"""The status page and the JSON behind it, on the port of health and metrics.

Pure but for :mod:`.pages`, which answers requests: a document in, a page out.
"""
