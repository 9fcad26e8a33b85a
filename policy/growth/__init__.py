"""A seed hierarchy and pictures in, a grown taxonomy and its instruction data out (TaskGalaxy, arXiv 2502.09925)."""
