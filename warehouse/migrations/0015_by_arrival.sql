-- Who follows the warehouse asks for what came in since the last look: rows of one insert share received_at, and so
-- do their neighbours until parts are merged, so that the newest parts are read and the others are skipped. Parts
-- that were written before have no index yet; they are read.
ALTER TABLE verdicts ADD INDEX IF NOT EXISTS by_received_at received_at TYPE minmax GRANULARITY 1;

ALTER TABLE impressions ADD INDEX IF NOT EXISTS by_received_at received_at TYPE minmax GRANULARITY 1;

ALTER TABLE reports ADD INDEX IF NOT EXISTS by_received_at received_at TYPE minmax GRANULARITY 1
