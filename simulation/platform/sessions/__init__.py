"""One day's sessions: opened, filled by a ranker, watched."""
