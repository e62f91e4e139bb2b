"""How long Hypothesis searches: the same cases in every run of CI, new ones elsewhere.

``HYPOTHESIS_PROFILE=long`` searches ten times as long.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "short", deadline=None, max_examples=50, stateful_step_count=30, suppress_health_check=SLOW
)
settings.register_profile("ci", settings.get_profile("short"), derandomize=True, database=None)
settings.register_profile("long", settings.get_profile("short"), max_examples=600)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "short")
)
