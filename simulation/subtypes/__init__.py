"""A planted set of 40 sub-types below the violative categories: what they are, how their videos look and speak."""
