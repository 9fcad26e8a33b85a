-- Every report, once. About one in a hundred impressions earns one, so partitions are months: a day each would be
-- hundreds of small parts. The day stands first in the sorting key instead, so that rebuilding a day reads that day:
-- a replay repeats it. Reports are also asked for by video, when a case is opened: hence the index.
--
-- Kept for 400 days from receipt, a year and what an appeal takes: they are what a case stood on.
CREATE TABLE IF NOT EXISTS reports
(
    event_id     String CODEC(ZSTD(1)),
    video_id     String CODEC(ZSTD(1)),
    reporter_id  String CODEC(ZSTD(1)),
    reported_at  DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    surface      LowCardinality(String),
    category     LowCardinality(Nullable(String)),
    received_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                 COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(reported_at)
PRIMARY KEY (toDate(reported_at), reporter_id)
ORDER BY (toDate(reported_at), reporter_id, event_id)
TTL toDateTime(received_at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
