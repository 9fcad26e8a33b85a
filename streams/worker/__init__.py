"""The Faust worker: raw events in, verdicts and features out, acknowledged only when both are kept."""
