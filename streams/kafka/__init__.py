"""Kafka's two clients and the embedded broker: what speaks the protocol, and nothing about moderation."""
