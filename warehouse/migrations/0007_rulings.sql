-- Every ruling, once: few and precious. One year is one partition, the event alone the key; questions by video skip
-- granules through the index. Kept for three years, as verdicts are: a verdict cites the cases ruled on here.
CREATE TABLE IF NOT EXISTS rulings
(
    event_id     String CODEC(ZSTD(1)),
    case_id      String CODEC(ZSTD(1)),
    video_id     String CODEC(ZSTD(1)),
    ruled_at     DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    ruled_by     String CODEC(ZSTD(1)),
    by           LowCardinality(String),
    category     LowCardinality(String),
    reasoning    String CODEC(ZSTD(3)),
    confidence   Float32,
    overrules    Nullable(String) CODEC(ZSTD(1)),
    received_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                 COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(ruled_at)
ORDER BY event_id
TTL toDateTime(received_at) + INTERVAL 1096 DAY
SETTINGS ttl_only_drop_parts = 1
