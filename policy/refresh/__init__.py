"""Rulings in, the next release out, overnight: collect, mine, build, train, gate, promote, each step by itself."""

from policy.refresh.refit import RefreshSettings, refresh_policy

__all__ = ["RefreshSettings", "refresh_policy"]
