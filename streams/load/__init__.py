"""Events at a schedule in, a ledger of what became of each out: an open-loop load, its probe and its checker."""
