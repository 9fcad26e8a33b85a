-- When rows came in, by the day that they belong to: says which days' sums are out of date, and how late events are.
--
-- Fed by each insert into what daily tables are made of. A replay adds to rows_received, which counts rows and not
-- events, and moves last_received_at: its day is rebuilt, to the same sums. first_received_at tells when a day's base
-- rows begin to expire, from when on it must not be rebuilt. A few rows a day for ever, so without a TTL.
CREATE TABLE IF NOT EXISTS arrivals
(
    day                Date,
    source             LowCardinality(String),
    received_on        Date,
    rows_received      SimpleAggregateFunction(sum, UInt64),
    first_received_at  SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_received_at   SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (day, source, received_on);

CREATE MATERIALIZED VIEW IF NOT EXISTS arrivals_of_impressions TO arrivals AS
SELECT
    toDate(shown_at) AS day, 'impressions' AS source, toDate(received_at) AS received_on,
    count() AS rows_received, min(received_at) AS first_received_at, max(received_at) AS last_received_at
FROM impressions
GROUP BY day, source, received_on;

CREATE MATERIALIZED VIEW IF NOT EXISTS arrivals_of_sessions TO arrivals AS
SELECT
    toDate(started_at) AS day, 'sessions' AS source, toDate(received_at) AS received_on,
    count() AS rows_received, min(received_at) AS first_received_at, max(received_at) AS last_received_at
FROM sessions
GROUP BY day, source, received_on;

CREATE MATERIALIZED VIEW IF NOT EXISTS arrivals_of_reports TO arrivals AS
SELECT
    toDate(reported_at) AS day, 'reports' AS source, toDate(received_at) AS received_on,
    count() AS rows_received, min(received_at) AS first_received_at, max(received_at) AS last_received_at
FROM reports
GROUP BY day, source, received_on;

CREATE TABLE IF NOT EXISTS rebuilds
(
    day       Date,
    began_at  DateTime64(6, 'UTC') COMMENT 'by the warehouse''s clock, before the base tables were read',
    users     UInt64,
    videos    UInt64
)
ENGINE = ReplacingMergeTree(began_at)
ORDER BY day
