"""The folder that readers see: tables, the ledger, and how a night is published."""
