"""PostgreSQL with a secret."""
