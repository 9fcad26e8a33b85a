-- The share of such verdicts that the audit draws, where it drew the case's, whatever else asked about it; else 0.
ALTER TABLE cases
    ADD COLUMN IF NOT EXISTS audited Float32 DEFAULT if(reason = 'audit', selection_probability, 0) AFTER selection_probability
