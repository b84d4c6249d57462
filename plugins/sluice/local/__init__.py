"""PostgreSQL and background programs on one machine, without Docker."""
