"""`millrace verify data` and `workflow`: the stored documents match the log."""
