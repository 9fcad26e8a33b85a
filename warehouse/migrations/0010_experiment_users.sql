-- One row per user of an experiment: what estimates are made from (warehouse.experiments says what columns mean).
--
-- A partition is one question: an experiment, a surface ('all' or one of them), and the last day that counts. Asking
-- again replaces it, and looks at different days stand beside each other. Whoever reads filters by these three, and
-- reads that partition alone. Without a sorting key: every question reads the whole partition, and sorting a million
-- rows took a third of the time of building them. Built from daily tables within seconds, so kept for 60 days only.
CREATE TABLE IF NOT EXISTS experiment_users
(
    experiment_id            LowCardinality(String),
    surface                  LowCardinality(String),
    through                  Date,
    user_id                  String CODEC(ZSTD(1)),
    variant                  LowCardinality(String) COMMENT 'of the first exposure',
    variants_seen            UInt8,
    first_exposed_on         Date,
    activity                 LowCardinality(String) COMMENT 'new, light, medium or heavy, by active days of the pre-period',
    impressions              UInt32 CODEC(ZSTD(1)),
    scored_impressions       UInt32 CODEC(ZSTD(1)),
    toxic_impressions        UInt32 CODEC(ZSTD(1)),
    reports                  UInt32 CODEC(ZSTD(1)),
    active_days              UInt16,
    usage_s                  Float64 CODEC(ZSTD(1)),
    watch_s                  Float64 CODEC(ZSTD(1)),
    retained                 UInt8 COMMENT 'active on a day 7 days or more after the first exposure',
    followed_days            UInt16 COMMENT 'from the first exposure through the last day, both counted',
    pre_impressions          UInt32 CODEC(ZSTD(1)),
    pre_scored_impressions   UInt32 CODEC(ZSTD(1)),
    pre_toxic_impressions    UInt32 CODEC(ZSTD(1)),
    pre_reports              UInt32 CODEC(ZSTD(1)),
    pre_active_days          UInt16,
    pre_usage_s              Float64 CODEC(ZSTD(1)),
    built_at                 DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
PARTITION BY (experiment_id, surface, through)
ORDER BY ()
TTL built_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1
