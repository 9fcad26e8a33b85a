-- Every exposure to an experiment's arm, once: at most one a user, experiment and day.
--
-- Always asked for one experiment, user by user: so sorted. The first exposure and the arms seen do not change when a
-- row stands twice, so they are read without FINAL. Kept for 400 days from receipt: a year of experiments can be
-- analysed anew.
CREATE TABLE IF NOT EXISTS exposures
(
    event_id       String CODEC(ZSTD(1)),
    user_id        String CODEC(ZSTD(1)),
    experiment_id  LowCardinality(String),
    variant        LowCardinality(String),
    exposed_at     DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)),
    surface        LowCardinality(String),
    received_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                   COMMENT 'when this row reached the warehouse; no field of the event'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(exposed_at)
PRIMARY KEY (experiment_id, user_id)
ORDER BY (experiment_id, user_id, event_id)
TTL toDateTime(received_at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
