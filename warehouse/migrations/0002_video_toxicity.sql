-- Video toxicity as Feast's offline store reads it for training sets.
--
-- event_timestamp is scored_at, not the upload: the ranker could read the feature only from then on. Joined on the
-- upload's time, a row between upload and verdict would be trained on a verdict that did not exist yet. The online
-- store may order its writes by occurred_at; that says which version of a video is newer, not when it was known.
-- A few milliseconds of writing lie between scored_at and the readable feature.
--
-- Types are those that Feast knows (it has no unsigned integers). expires_at is Verdict.expires_at.
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
