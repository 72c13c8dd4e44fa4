"""Pages: what is written for readers from the ledger, a datasheet, or saved data."""
