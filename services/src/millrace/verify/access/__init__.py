"""`millrace verify access`: who has no right to come in is refused."""
