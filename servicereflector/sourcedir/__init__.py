"""The source directory: a file for each source, read again and again."""

from .files import ENDINGS, SourceFile, read_source, source_name
from .scanner import Scan, check, scan
from .service import INTERVAL, SourceDirectory

__all__ = [
    "ENDINGS",
    "INTERVAL",
    "Scan",
    "SourceDirectory",
    "SourceFile",
    "check",
    "read_source",
    "scan",
    "source_name",
]
