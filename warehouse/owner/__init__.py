"""The embedded warehouse: one process that owns a chDB folder and answers the ClickHouse HTTP protocol."""
