"""What happened in a world, written down: columns and events, sums per user, files."""
