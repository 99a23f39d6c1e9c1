"""What an operator tells services that run: `millrace standing` and `millrace producer`."""
