-- One row per user of an experiment: what estimates are made from (warehouse.experiments says what columns mean).
--
-- A partition is one question: an experiment, a surface ('all' or one of them), and the last day that counts. Asking
-- again replaces it, and looks at different days stand beside each other. Whoever reads filters by these three, and
-- reads that partition alone. Without a sorting key: every question reads the whole partition, and sorting a million
-- rows took a third of the time of building them. Packed by LZ4: ZSTD took an eighth of it. Built from daily tables
-- within seconds, so kept for 60 days only.
CREATE TABLE IF NOT EXISTS experiment_users
(
    experiment_id            LowCardinality(String),
    surface                  LowCardinality(String),
    through                  Date,
    user_id                  String,
    variant                  LowCardinality(String) COMMENT 'of the first exposure',
    variants_seen            UInt8,
    first_exposed_on         Date,
    activity                 LowCardinality(String) COMMENT 'new, light, medium or heavy, by active days of the pre-period',
    impressions              UInt32,
    scored_impressions       UInt32,
    toxic_impressions        UInt32,
    reports                  UInt32,
    active_days              UInt16,
    usage_s                  Float64,
    watch_s                  Float64,
    retained                 UInt8 COMMENT 'active on a day 7 days or more after the first exposure',
    followed_days            UInt16 COMMENT 'from the first exposure through the last day, both counted',
    pre_impressions          UInt32,
    pre_scored_impressions   UInt32,
    pre_toxic_impressions    UInt32,
    pre_reports              UInt32,
    pre_active_days          UInt16,
    pre_usage_s              Float64,
    built_at                 DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
PARTITION BY (experiment_id, surface, through)
ORDER BY ()
TTL built_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1
