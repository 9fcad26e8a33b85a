"""Trends that nobody was taught: what they are, what their videos say and show, and who rules on them."""
