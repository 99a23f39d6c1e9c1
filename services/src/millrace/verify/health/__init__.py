"""`millrace verify kafka`, `mongodb` and `processor`: each part works and is as declared."""
