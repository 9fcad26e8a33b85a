-- What a user did on a day, one row each: what experiments are analysed from. Rebuilt as a whole day from the base
-- tables, deduplicated (warehouse.daily), by replacing the day's partition: rebuilding twice changes nothing.
--
-- Each surface has columns of its own rather than an array or a row of its own: a question about one reads no byte of
-- the others, and sums stay sums of plain numbers. Days (UTC) are those of shown_at, reported_at and started_at; a
-- session is wholly of the day that it began.
--
-- Sorted by user: rows of a day pack well, and erasure finds its user. Kept for 400 days from the rebuild: a 90-day
-- pre-period, a quarter's experiment and the same quarter a year ago.
CREATE TABLE IF NOT EXISTS user_days
(
    day                           Date,
    user_id                       String CODEC(ZSTD(1)),
    active                        UInt8 COMMENT '1 when there was a session or an impression',
    sessions                      UInt32 CODEC(ZSTD(1)),
    usage_ms                      UInt64 CODEC(T64, ZSTD(1)) COMMENT 'sum of ended_at - started_at',
    impressions                   UInt32 CODEC(ZSTD(1)),
    scored_impressions            UInt32 CODEC(ZSTD(1)) COMMENT 'whose toxicity was known when they were shown',
    toxic_impressions             UInt32 CODEC(ZSTD(1)) COMMENT 'toxicity >= 0.5',
    reports                       UInt32 CODEC(ZSTD(1)) COMMENT 'made by the user',
    watch_ms                      UInt64 CODEC(T64, ZSTD(1)),
    impressions_recommend         UInt32 CODEC(ZSTD(1)),
    impressions_following         UInt32 CODEC(ZSTD(1)),
    impressions_search            UInt32 CODEC(ZSTD(1)),
    scored_impressions_recommend  UInt32 CODEC(ZSTD(1)),
    scored_impressions_following  UInt32 CODEC(ZSTD(1)),
    scored_impressions_search     UInt32 CODEC(ZSTD(1)),
    toxic_impressions_recommend   UInt32 CODEC(ZSTD(1)),
    toxic_impressions_following   UInt32 CODEC(ZSTD(1)),
    toxic_impressions_search      UInt32 CODEC(ZSTD(1)),
    reports_recommend             UInt32 CODEC(ZSTD(1)),
    reports_following             UInt32 CODEC(ZSTD(1)),
    reports_search                UInt32 CODEC(ZSTD(1)),
    watch_ms_recommend            UInt64 CODEC(T64, ZSTD(1)),
    watch_ms_following            UInt64 CODEC(T64, ZSTD(1)),
    watch_ms_search               UInt64 CODEC(T64, ZSTD(1)),
    rebuilt_at                    DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY user_id
TTL rebuilt_at + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;

-- What happened to a video on a day, one row each, rebuilt with user_days.
CREATE TABLE IF NOT EXISTS video_days
(
    day                           Date,
    video_id                      String CODEC(ZSTD(1)),
    impressions                   UInt32 CODEC(ZSTD(1)),
    scored_impressions            UInt32 CODEC(ZSTD(1)),
    toxic_impressions             UInt32 CODEC(ZSTD(1)),
    toxicity                      Nullable(Float32) COMMENT 'mean over the scored impressions, NULL without any',
    reports                       UInt32 CODEC(ZSTD(1)),
    reporters                     UInt32 CODEC(ZSTD(1)) COMMENT 'different users among the reports',
    watch_ms                      UInt64 CODEC(T64, ZSTD(1)),
    surfaces                      Array(LowCardinality(String)) COMMENT 'where it was shown, in order',
    impressions_recommend         UInt32 CODEC(ZSTD(1)),
    impressions_following         UInt32 CODEC(ZSTD(1)),
    impressions_search            UInt32 CODEC(ZSTD(1)),
    rebuilt_at                    DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY video_id
TTL rebuilt_at + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
