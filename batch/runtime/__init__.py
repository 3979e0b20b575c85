"""What belongs to the whole process: threads, signals, terminal and logs."""
