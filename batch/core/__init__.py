"""Types and rules that all rooms use: records, errors, rules, privacy, configuration."""
