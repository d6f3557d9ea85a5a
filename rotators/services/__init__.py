"""Rotators for services other than databases: base classes, and ready rotators."""
