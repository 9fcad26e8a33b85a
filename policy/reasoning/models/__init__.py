"""A checkpoint folder in, a model and its processor out; and one so small that a laptop trains it."""
