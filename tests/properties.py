"""How often Hypothesis tries each property.

By itself a run draws the same examples each time: it fails for what was changed, not by luck.
``TESTS_TRIES=20`` draws others, and twenty times as many.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("TESTS_TRIES", "1"))


def tried(examples: int) -> settings:
    """The settings of a property that is worth more or fewer examples than the usual 100."""
    return settings(max_examples=examples * TIMES)


def register() -> None:
    """Make the settings of this module those of every property."""
    settings.register_profile(
        "sluice",
        max_examples=100 * TIMES,
        derandomize=TIMES == 1,
        # A machine that does something else as well is slow, and no reason to fail.
        deadline=None,
        # Fixtures here are servers and connections, whose tests leave them as they were.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("sluice")
