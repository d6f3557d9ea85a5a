"""A verification in an account, without one."""
