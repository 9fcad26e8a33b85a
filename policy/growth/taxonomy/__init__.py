"""Types below roots: read from a seed file or a folder, looked up, merged without a type's id ever changing."""
