"""`millrace verify kafka`, `mongodb` and `processor`: each part is as declared, and works."""
