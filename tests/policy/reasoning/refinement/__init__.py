"""The VLM's online refinement: asked, taught, gated, seated."""
