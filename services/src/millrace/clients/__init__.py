"""Clients of the servers and of the other services, created from the settings."""
