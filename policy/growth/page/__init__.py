"""A taxonomy and what was made for it in, one page out for a person to look at."""
