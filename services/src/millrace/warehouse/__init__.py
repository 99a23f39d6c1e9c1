"""A database of the archive's events and what they say, made with dbt on DuckDB.

The libraries are in the image of the archive, so only `millrace warehouse` imports these modules.
"""
