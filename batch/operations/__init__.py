"""What the people who run the job ask beside it: is all well, what happened, what may go."""
