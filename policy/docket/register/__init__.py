"""What the docket does in its transactions: rows in and out, each with its audit entry and its announcement."""
