"""The online stores: rows in, guarded so that an older event never replaces a newer one, rows out."""
