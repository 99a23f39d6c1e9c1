"""`millrace verify access`: unauthorised access is refused."""
