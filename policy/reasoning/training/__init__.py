"""A policy that reasons in, a better one out: what it is rewarded for, the objective, the trainer."""
