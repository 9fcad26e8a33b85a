"""The room's commands: one embedded or online part each, in the foreground."""
