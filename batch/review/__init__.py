"""From scores to what a person is asked to look at."""
