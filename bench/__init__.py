"""Benchmarks: each prints a table and gives its figures as JSON; ratios are of one run."""
