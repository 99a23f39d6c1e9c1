"""Every record of the log as a row of an Apache Iceberg table, once.

The libraries are in an image of their own, so only `millrace archive` imports these modules.
"""
