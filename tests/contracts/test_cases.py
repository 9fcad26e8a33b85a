"""Cases as they travel: older ones stay readable, and what they stood on is kept with them."""

from contracts.cases import CaseEvidence, CaseOpened
from contracts.taxonomy import Category
from contracts.verdicts import Decision

OLDER = """{"event_id": "e-1", "case_id": "c-1", "video_id": "v-1", "opened_at": "2026-11-01T00:00:00Z",
"reason": "audit", "selection_probability": 0.02, "toxicity": 0.1, "release_version": 3, "casebook_version": 7}"""


def test_a_case_written_before_there_was_evidence_is_still_read() -> None:
    assert CaseOpened.model_validate_json(OLDER).evidence is None


def test_an_audit_written_before_every_case_said_so_was_drawn_with_what_it_was_selected_with() -> None:
    assert CaseOpened.model_validate_json(OLDER).audited == 0.02
    assert CaseOpened.model_validate_json(OLDER.replace('"audit"', '"uncertain"')).audited == 0.0


def test_a_case_keeps_its_evidence_through_json() -> None:
    evidence = CaseEvidence(
        probabilities=(1 / 16,) * 16,
        classifier=(1 / 16,) * 16,
        category=Category.PLAGIARISM,
        decision=Decision.DEMOTE,
        impressions=100,
        reporters=3,
        coordinated=2,
        weighted_reports=1.25,
        report_rate=0.0125,
        over_line=0.75,
    )
    case = CaseOpened.model_validate_json(OLDER).model_copy(update={"evidence": evidence})
    assert CaseOpened.model_validate_json(case.model_dump_json()) == case
