"""A candidate and its parent on the same cases in; whether the candidate may follow it, with reasons, out."""
