"""Paid calls: asked at most once, many at a time, kept as they come, counted to the last token."""
