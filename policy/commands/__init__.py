"""`precedent policy | score | benchmark`: parse, build, call."""
