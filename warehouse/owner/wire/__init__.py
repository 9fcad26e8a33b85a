"""The ClickHouse HTTP protocol itself: bodies, requests, statements and replies, without an engine."""
