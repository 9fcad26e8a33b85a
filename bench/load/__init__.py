"""A running stack under load: what it holds, what it costs, how far it goes, and beside whom."""
