"""All ClickHouse: schema, migrations, queries, sinks, the embedded owner process. Imports only `contracts`."""
