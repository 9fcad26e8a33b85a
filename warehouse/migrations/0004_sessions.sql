-- Every session, once. Read, deduplicated, erased and kept as impressions are, and for the same reasons; sessions are
-- counted on the day that they began.
CREATE TABLE IF NOT EXISTS sessions
(
    event_id     String CODEC(ZSTD(1)),
    user_id      String CODEC(ZSTD(1)),
    session_id   String CODEC(ZSTD(1)),
    started_at   DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    ended_at     DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    impressions  UInt64 CODEC(T64, ZSTD(1)),
    received_at  DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                 COMMENT 'when this row reached the warehouse; no field of the event'
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(started_at)
PRIMARY KEY user_id
ORDER BY (user_id, event_id)
TTL toDateTime(received_at) + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1
