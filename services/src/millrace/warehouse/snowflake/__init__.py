"""The warehouse in Snowflake: the same models, on the files that the archive has in S3.

Only what builds in Snowflake imports these modules.
"""
