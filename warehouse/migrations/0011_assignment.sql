-- Assignment to experiments, recomputed by whoever asks: the two lines of `ab_tests.assignment`, bit for bit.
--
--     SELECT experiment_bucket('feed', user_id) < 5000 AS inside,
--            experiment_point('toxicity-ranking-1', user_id) < 2147483648 AS control
--     FROM exposures
--
-- A user is in an experiment when experiment_bucket(layer, user_id) lies in its buckets, [first, last) of 10,000. The
-- variant is the first one whose edge, the shares up to and including its own times 2^32 and rounded, is greater than
-- experiment_point(salt, user_id). Functions belong to the server, not to a database; they never change.
CREATE OR REPLACE FUNCTION experiment_bucket AS (layer, user_id) ->
    xxHash64(concat('layer:', layer, ':', user_id)) % 10000;

CREATE OR REPLACE FUNCTION experiment_point AS (salt, user_id) ->
    bitShiftRight(xxHash64(concat('arm:', salt, ':', user_id)), 32)
