"""How fast the program is, beside what people would use instead: see ``docs/performance.md``."""
