"""Topics in, warehouse rows out: the frequent ones in bulk, the others by Faust agents; a replay counts once."""
