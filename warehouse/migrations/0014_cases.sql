-- Every case that was opened, once, with the evidence that was frozen with it: few and precious, kept as rulings are.
--
--     SELECT countIf(evidence.over_line > 0.9) FROM cases FINAL WHERE reason = 'report_rate'
--
-- selection_probability is what a case was drawn with: weighing an audit's cases by its inverse says what the cases
-- that nobody opened would have shown.
CREATE TABLE IF NOT EXISTS cases
(
    event_id               String CODEC(ZSTD(1)),
    case_id                String CODEC(ZSTD(1)),
    video_id               String CODEC(ZSTD(1)),
    opened_at              DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    reason                 LowCardinality(String),
    selection_probability  Float32,
    toxicity               Float32,
    release_version        UInt32,
    casebook_version       UInt32,
    evidence               Nullable(Tuple(
                               probabilities Array(Float32),
                               classifier Array(Float32),
                               category LowCardinality(String),
                               decision LowCardinality(String),
                               impressions UInt64,
                               reporters UInt64,
                               coordinated UInt64,
                               weighted_reports Float64,
                               report_rate Nullable(Float32),
                               over_line Nullable(Float32),
                               frames_digest Nullable(String)
                           )) CODEC(ZSTD(1)),
    received_at            DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                           COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(opened_at)
ORDER BY event_id
TTL toDateTime(received_at) + INTERVAL 1096 DAY
SETTINGS ttl_only_drop_parts = 1;

-- Every appeal, once; kept as rulings are. An erased author's appeals leave with what they wrote.
CREATE TABLE IF NOT EXISTS appeals
(
    event_id     String CODEC(ZSTD(1)),
    case_id      String CODEC(ZSTD(1)),
    video_id     String CODEC(ZSTD(1)),
    author_id    String CODEC(ZSTD(1)),
    appealed_at  DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    statement    String CODEC(ZSTD(3)),
    received_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                 COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(appealed_at)
ORDER BY event_id
TTL toDateTime(received_at) + INTERVAL 1096 DAY
SETTINGS ttl_only_drop_parts = 1
