"""What one DAG hands to another: an event says that it is there anew, and how it came out."""

from airflow.sdk import Asset

RELEASES = Asset("releases", uri="precedent://policy/releases")
"""A release was seated: its casebook must learn what was ruled since it was built."""
CASEBOOK = Asset("casebook", uri="precedent://policy/casebook")
"""A casebook was published, which the workers follow."""
HISTORIES = Asset("histories", uri="precedent://features/histories")
"""Features of authors and viewers were written."""
PARITY = Asset("parity", uri="precedent://features/parity")
"""Online was held against offline; the event carries the figures, whether they are drift or not."""
REPORTS = Asset("reports", uri="precedent://ab/reports")
"""The pages about one experiment were written."""
PROPOSALS = Asset("proposals", uri="precedent://policy/proposals")
"""Leaves were proposed; the event carries what waits for a person."""
