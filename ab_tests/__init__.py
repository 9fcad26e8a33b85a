"""Exposures in, a report out: experiments, assignment, estimates and what they mean in plain words."""
