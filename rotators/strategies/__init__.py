"""How a database secret gets its next credential: one module per strategy."""
