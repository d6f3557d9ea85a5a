"""Rotators for what is not a database: bases to subclass, and services that are ready."""
