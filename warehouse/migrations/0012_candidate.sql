-- What a release that is tried beside the live one would have decided, stored with the live decision: the serving arm
-- of an experiment on moderation chooses between the two, and this says which videos it could choose about.
--
--     SELECT count() FROM verdicts FINAL WHERE candidate.decision != decision     -- NULL, hence not counted, where
--                                                                                 -- no candidate was asked
--
-- A missing candidate stays NULL and takes almost no room: while none is tried that is every row.
ALTER TABLE verdicts
    ADD COLUMN IF NOT EXISTS candidate Nullable(Tuple(
        release_version UInt32,
        casebook_version UInt32,
        toxicity Float32,
        category LowCardinality(String),
        decision LowCardinality(String)
    )) AFTER since_upload_ms;

-- As in 0002, and with what the candidate said.
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
    toInt64(candidate.release_version) AS candidate_release_version
FROM verdicts FINAL
