"""The published column contracts of the reports, one JSON file a table."""
