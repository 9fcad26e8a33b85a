"""`make demo`: the whole loop on the embedded parts, from simulated uploads to a ranked list, and a page about it."""
