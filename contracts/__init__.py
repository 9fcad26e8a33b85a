"""The nouns of the project: events, taxonomy, verdicts, cases, rulings, releases. Imports no other room."""
