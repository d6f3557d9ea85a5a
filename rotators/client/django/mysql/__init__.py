"""MySQL and MariaDB with a secret."""
