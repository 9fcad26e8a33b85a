"""The day's rulings in, the next moderation VLM out: post-trained on what the deployed one gets wrong, then gated."""
