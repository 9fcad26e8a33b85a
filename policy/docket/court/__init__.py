"""The court over HTTP: reviewers rule, the platform appeals, auditors read; what is a token's to do is its role's."""
