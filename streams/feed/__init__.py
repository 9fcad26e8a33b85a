"""A viewer's feed: candidates ranked as the viewer's arms ask, and the exposures that this makes."""
