"""Matched pictures in, questions and answers that referees let pass out, in the form that instruction data has."""
