-- What a user of an experiment was shown of videos that were ruled violative, while they were let through
-- (warehouse.exposure): filled only for experiments that measure it, else 0.
ALTER TABLE experiment_users
    ADD COLUMN IF NOT EXISTS exposed_impressions UInt32 DEFAULT 0 AFTER toxic_impressions
