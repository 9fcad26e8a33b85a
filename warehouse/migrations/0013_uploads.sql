-- Every version of every upload, once: what the verdicts are about. A recent sample of them is what a policy is tried
-- on before it decides, and a case takes from here what it freezes.
--
-- Always asked by video, whose newest version counts: sorted by it, so that versions, which repeat their text, lie
-- beside each other and pack. A replay repeats occurred_at, video_id and event_id, so it meets its first copy in its
-- partition. Within a day, few granules hold a given video: the index says which, where the sorting key of a day can
-- only say where it would be.
--
-- Kept for 400 days from receipt, as reports are: of what can be reported or appealed, a case can be opened.
CREATE TABLE IF NOT EXISTS uploads
(
    event_id       String CODEC(ZSTD(1)),
    video_id       String CODEC(ZSTD(1)),
    author_id      String CODEC(ZSTD(1)),
    occurred_at    DateTime64(6, 'UTC') CODEC(T64, ZSTD(1)) COMMENT 'when this version came to be',
    title          Nullable(String) CODEC(ZSTD(3)),
    ocr            Nullable(String) CODEC(ZSTD(3)),
    asr            Nullable(String) CODEC(ZSTD(3)),
    media_url      Nullable(String) CODEC(ZSTD(3)),
    picture_count  Nullable(UInt32) CODEC(ZSTD(1)),
    feedback       Nullable(Tuple(impressions UInt64, reports UInt64, likes UInt64, skips UInt64)) CODEC(ZSTD(1)),
    received_at    DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') CODEC(T64, ZSTD(1))
                   COMMENT 'when this row reached the warehouse; no field of the event',
    INDEX by_video video_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(occurred_at)
PRIMARY KEY video_id
ORDER BY (video_id, event_id)
TTL toDateTime(received_at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
