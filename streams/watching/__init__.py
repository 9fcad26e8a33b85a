"""What a running part shows of itself: numbers by the batch, whether it makes progress and takes work, logs, traces."""
