"""How long a task may take, and after which errors it is tried again: its steps repeat without harm."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

_SETTLED: list[type[BaseException] | str] = ["contracts.errors.BadInputError", "contracts.errors.CheckFailedError"]

ONLY_WHAT_MAY_PASS = ExceptionRetryPolicy(
    [
        RetryRule(
            _SETTLED, RetryAction.FAIL, reason="what was given or found stays the same: trying again would not help"
        )
    ]
)


def patience(*, minutes: float, retries: int = 4, first_wait_s: float = 20.0) -> dict[str, Any]:
    """Arguments of every task of a DAG: time for one try, and waits that double from `first_wait_s` to 10 minutes.

    A dependency that does not answer is asked again; bad input and failed checks are not.
    """
    return {
        "execution_timeout": timedelta(minutes=minutes),
        "retries": retries,
        "retry_delay": timedelta(seconds=first_wait_s),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ONLY_WHAT_MAY_PASS,
    }
