"""What a run leaves behind: tables, the ledger, and their publication."""
