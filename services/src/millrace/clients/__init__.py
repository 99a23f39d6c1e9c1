"""Clients of the servers and of the other services, made from the settings."""
