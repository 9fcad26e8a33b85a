"""Reports in, cases out: who is believed, which videos are asked about, and in which order."""
