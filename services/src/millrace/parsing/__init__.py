"""Reading data of other programs, in the forms in which they write it."""
