"""What is known of an author and of a viewer so far: counts up to a moment, and the shares smoothed from them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.records import Count, Id, Probability, Record, Time

# Beta priors as (hits, misses): the posterior mean of k hits in n trials is (k + hits) / (n + hits + misses).
# An unknown author is taken to break a rule with 1 video in 20, an unknown viewer to report 1 impression
# in 1,000 and to leave half of the toxic videos they are shown.
VIOLATIVE_PRIOR = (1.0, 19.0)
REPORT_PRIOR = (0.1, 99.9)
REJECTION_PRIOR = (2.0, 2.0)


def smoothed_share(hits: int, trials: int, prior: tuple[float, float]) -> float:
    """Posterior mean of a Beta-binomial share, in (0, 1)."""
    return (hits + prior[0]) / (trials + prior[0] + prior[1])


class AuthorHistory(Record):
    """An author's verdicts that occurred up to `as_of`; `computed_at` is when this was known."""

    author_id: Id
    as_of: Time
    computed_at: Time
    verdicts: Count
    violative: Count
    removed: Count
    violative_share: Probability
    last_removed_at: Time | None = None

    @classmethod
    def from_counts(
        cls,
        author_id: str,
        *,
        verdicts: int,
        violative: int,
        removed: int,
        as_of: datetime,
        computed_at: datetime,
        last_removed_at: datetime | None = None,
    ) -> Self:
        return cls(
            author_id=author_id,
            as_of=as_of,
            computed_at=computed_at,
            verdicts=verdicts,
            violative=violative,
            removed=removed,
            violative_share=smoothed_share(violative, verdicts, VIOLATIVE_PRIOR),
            last_removed_at=last_removed_at,
        )

    @model_validator(mode="after")
    def _parts_of_whole(self) -> Self:
        if not self.removed <= self.violative <= self.verdicts:
            msg = (
                f"removed == {self.removed}, violative == {self.violative}, verdicts == {self.verdicts}, "
                "must not decrease in this order"
            )
            raise ValueError(msg)
        return self


class ViewerSensitivity(Record):
    """How a viewer met toxic videos up to `as_of`; a rejection is a skip, a report, or both.

    `tolerance` is the smoothed share of toxic impressions that were not rejected: 1 for a viewer who watches
    them like any other video, 0 for one who leaves every one of them.
    """

    user_id: Id
    as_of: Time
    computed_at: Time
    impressions: Count
    reports: Count
    toxic_impressions: Count
    toxic_skips: Count
    report_rate: Probability
    toxic_skip_rate: Probability
    tolerance: Probability

    @classmethod
    def from_counts(
        cls,
        user_id: str,
        *,
        impressions: int,
        reports: int,
        toxic_impressions: int,
        toxic_skips: int,
        toxic_rejections: Annotated[int, Field(ge=0)],
        as_of: datetime,
        computed_at: datetime,
    ) -> Self:
        return cls(
            user_id=user_id,
            as_of=as_of,
            computed_at=computed_at,
            impressions=impressions,
            reports=reports,
            toxic_impressions=toxic_impressions,
            toxic_skips=toxic_skips,
            report_rate=smoothed_share(reports, impressions, REPORT_PRIOR),
            toxic_skip_rate=smoothed_share(toxic_skips, toxic_impressions, REJECTION_PRIOR),
            tolerance=1.0 - smoothed_share(toxic_rejections, toxic_impressions, REJECTION_PRIOR),
        )

    @model_validator(mode="after")
    def _parts_of_whole(self) -> Self:
        if not (self.reports <= self.impressions and self.toxic_skips <= self.toxic_impressions <= self.impressions):
            msg = (
                f"reports == {self.reports}, toxic_skips == {self.toxic_skips}, "
                f"toxic_impressions == {self.toxic_impressions}, must be parts of "
                f"impressions == {self.impressions}"
            )
            raise ValueError(msg)
        return self
