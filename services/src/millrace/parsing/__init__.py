"""Reading what others send, in the forms in which they write it."""
