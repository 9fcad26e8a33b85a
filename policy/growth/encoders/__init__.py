"""Pictures and texts in, directions in one space out: a CLIP-class checkpoint, real or tiny."""
