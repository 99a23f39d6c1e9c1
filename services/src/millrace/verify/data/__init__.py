"""`millrace verify data` and `workflow`: what is stored is what the log says."""
