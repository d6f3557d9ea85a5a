"""The strategies: how a database secret gets its next credential. One module each."""
