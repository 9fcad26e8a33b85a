"""A trend that nobody was taught: seen too late, reported, ruled on, known by precedent, learned overnight."""
