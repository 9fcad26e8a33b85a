"""Benchmarks of growing a taxonomy and its instruction data."""
