"""Simulated weeks with new trends: a policy that learns from reports and rulings against one that stays as it is."""
