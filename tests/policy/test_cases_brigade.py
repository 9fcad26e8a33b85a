"""A brigade of one user in twenty on a small platform: the short form of `bench.brigade`."""

import pytest

from bench.brigade import LEAST_KEPT, attack, clean_videos, demotions_of, outcome_of, taught_release
from bench.brigade.demotions import Scored
from bench.brigade.world import HELD, MANNERS, BrigadeSettings
from contracts.releases import InputShape
from policy.cases.coordination import WeighedReports
from policy.cases.rescoring import Counted
from policy.costs import Costs
from policy.fusion import FusionSettings
from policy.train import TrainSettings

SMALL = BrigadeSettings(users=2_000, videos=1_000, targets=100)
SMALL_TRAINING = TrainSettings(
    inputs=InputShape(n_frames=2, frame_px=32, text_buckets=2_048, max_ngrams=512),
    fusion=FusionSettings(epochs=10),
    fused=True,
    costs=Costs(),
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("brigade") / "release"
    return clean_videos(SMALL.targets, taught_release(folder, SMALL, SMALL_TRAINING, cases=300, seed=21), seed=22)


@pytest.mark.parametrize("manner", HELD)
def test_mass_reporting_opens_no_case_and_honest_reports_still_do(manner: str) -> None:
    outcome = outcome_of(attack(SMALL, MANNERS[manner], seed=11))
    assert outcome.counted_targets >= 80  # so many would be cases, were reports merely counted
    assert outcome.opened_targets == 0
    assert outcome.honest_cases >= 30
    assert outcome.kept >= LEAST_KEPT * outcome.honest_cases
    assert outcome.named == outcome.members == 100


def test_mass_reporting_adds_no_report_to_what_a_score_hears_so_that_it_demotes_nothing(clean: Scored) -> None:
    attacked = attack(SMALL, MANNERS["each all, in two hours"], seed=11)
    heard = [(Counted.of(attacked.before[v]), Counted.of(attacked.after[v])) for v in attacked.targets]
    assert all(after.reports <= before.reports and after.impressions == before.impressions for before, after in heard)
    assert sum(after.reports < before.reports for before, after in heard) < 20  # members report honestly too
    demotions = demotions_of(attacked, clean)
    assert demotions.n == 100
    assert demotions.allowed >= 60
    assert demotions.counted.stricter >= 15  # so many would fall, were reports merely counted
    assert demotions.weighed.stricter <= 2  # a release of 300 cases may take a lost report for worse


def test_a_score_is_asked_for_once_by_video_and_feedback(clean: Scored) -> None:
    quiet = [WeighedReports(f"v{row}", 600, 0, 0, 0.0) for row in range(100)]
    toxicity, decision = clean.with_reports(quiet)
    asked = len(clean.known)
    again, same = clean.with_reports(quiet)
    assert len(clean.known) == asked
    assert (toxicity == again).all()
    assert (decision == same).all()
    loud = [WeighedReports(f"v{row}", 600, 60, 0, 60.0) for row in range(100)]
    assert (clean.with_reports(loud)[0] > toxicity).mean() > 0.9
