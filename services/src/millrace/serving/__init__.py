"""Serves a WSGI application so that slow, silent or many clients delay only themselves.

One thread waits for all clients. A complete request takes a thread of the pool, which is free again
when the answer is computed: unsent data waits in memory.
"""
