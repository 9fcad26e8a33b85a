-- The accepted leaf below the category: of a verdict that of its best cited precedent, of a ruling what was ruled; empty
-- where there is none. A leaf that is accepted later is a new value of this column, never a change of the schema.
--
--     SELECT leaf, count() FROM verdicts FINAL WHERE leaf != '' GROUP BY leaf
--
-- A ruling whose leaf was named later is announced again under its own id: the later row replaces the earlier.
ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS leaf LowCardinality(String) DEFAULT '' AFTER candidate;

ALTER TABLE rulings ADD COLUMN IF NOT EXISTS leaf LowCardinality(String) DEFAULT '' AFTER overrules;

-- As in 0012, and with the leaf.
CREATE OR REPLACE VIEW video_toxicity AS
SELECT
    video_id,
    author_id,
    scored_at AS event_timestamp,
    received_at AS created_timestamp,
    occurred_at,
    probabilities,
    toxicity,
    CAST(decision, 'String') AS decision,
    CAST(category, 'String') AS category,
    toInt64(release_version) AS release_version,
    toInt64(casebook_version) AS casebook_version,
    CAST(taxonomy_version, 'String') AS taxonomy_version,
    scored_at,
    scored_at + INTERVAL 7 DAY AS expires_at,
    candidate.toxicity AS candidate_toxicity,
    CAST(candidate.decision, 'Nullable(String)') AS candidate_decision,
    toInt64(candidate.release_version) AS candidate_release_version,
    CAST(leaf, 'String') AS leaf
FROM verdicts FINAL
