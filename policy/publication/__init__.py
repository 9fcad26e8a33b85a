"""Rulings in force and a release in, the casebook that serves next out: from ruling to precedent."""
