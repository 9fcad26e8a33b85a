"""What the clerk does, a duty each: it does what there is to do, returns how much that was, and may be retried."""
