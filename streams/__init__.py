"""The online composition root: uploads in, verdicts out, on Kafka; and the embedded parts as processes."""
