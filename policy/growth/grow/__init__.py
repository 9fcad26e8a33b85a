"""TaskGalaxy's first step (arXiv 2502.09925, section 3.1): an LLM proposes types level by level until little is new."""
