"""Rows in, an adapted VLM out: SFT, DPO, and RL by StableReinforce."""
