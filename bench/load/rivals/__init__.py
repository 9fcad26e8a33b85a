"""The worker's job carried otherwise: by hand on confluent-kafka, and by Quix Streams. What the framework costs."""
