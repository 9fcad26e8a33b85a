-- Video toxicity as Feast's offline store reads it for training sets.
--
-- event_timestamp is scored_at, when the feature became readable, and not when the upload occurred: a training row
-- between upload and verdict must not read a verdict that did not exist yet. (A few milliseconds of writing lie
-- between scored_at and the readable feature.)
--
-- Who wants the newest version of a video, as the guarded online store keeps it, joins on occurred_at with scored_at
-- as created timestamp and filter_by_created_timestamp. On occurred_at alone the join would read the future.
--
-- An event that is scored again keeps its last scoring only: rows between the two read what was known before, or
-- nothing, never what came later. Types are those that Feast knows (it has no unsigned integers). expires_at is
-- Verdict.expires_at.
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
    scored_at + INTERVAL 7 DAY AS expires_at
FROM verdicts FINAL
