"""Object storage (`s3://…`), for archives and for reports: names, and one small client."""
