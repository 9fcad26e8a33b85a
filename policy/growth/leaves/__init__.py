"""Rulings that no leaf explains in, leaves that a person accepted out, and from there cases, casebook and verdicts."""
