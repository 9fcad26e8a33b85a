"""A short-video platform in simulated time: viewers, feeds, reports, and the same days lived again under other arms."""
