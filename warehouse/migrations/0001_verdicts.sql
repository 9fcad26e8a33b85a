-- Every verdict, once: what the policy thought of one upload event, and which decided cases it cites.
--
-- Sorted by event_id alone, so that the engine itself removes replays (the latest scored_at wins) whatever else
-- about them differs; FINAL reads it so before the parts are merged. Partitions are days of the upload: a replayed
-- event has the same occurred_at, hence falls into the same partition, and a question about some days reads those
-- days. Questions by video or by time of scoring skip granules through the two indexes.
--
-- Within a part, rows lie in the order of their ids, so neighbouring times are unrelated: T64, which cuts the high
-- bits that the part's times share, packs them better than differences do.
--
-- Kept for three years from scoring: whole days leave at once, nothing is rewritten. Counting from scored_at and
-- not from occurred_at, because old videos are scored too.
CREATE TABLE IF NOT EXISTS verdicts
(
    event_id          String CODEC(ZSTD(1)),
    video_id          String CODEC(ZSTD(1)),
    author_id         String CODEC(ZSTD(1)),
    occurred_at       DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    scored_at         DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    probabilities     Array(Float32) CODEC(ZSTD(1)) COMMENT 'blended, 16 in the order of taxonomy_version',
    classifier        Array(Float32) CODEC(ZSTD(1)) COMMENT 'before the precedents, 16 in the same order',
    toxicity          Float32 COMMENT '1 - p(positive)',
    category          LowCardinality(String),
    decision          LowCardinality(String),
    citations         Array(Tuple(case_id String, category LowCardinality(String), similarity Float32)) CODEC(ZSTD(1)),
    missing           Array(LowCardinality(String)),
    release_version   UInt32,
    casebook_version  UInt32,
    taxonomy_version  LowCardinality(String),
    since_upload_ms   Float64 CODEC(ZSTD(1)),
    received_at       DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                      COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_scored_at scored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(scored_at)
PARTITION BY toDate(occurred_at)
ORDER BY event_id
TTL toDateTime(scored_at) + INTERVAL 1096 DAY
SETTINGS ttl_only_drop_parts = 1
