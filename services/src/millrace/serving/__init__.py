"""Serves a WSGI application: clients may be slow, silent or many, and hold up only themselves.

One thread does all waiting for clients. A thread of the pool is taken when the whole of a request
is here, and is free again when the answer is made: what is not taken yet waits in memory.
"""
