"""What is invented: shares, metals and GPUs, as functions of name and time only.

The simulator and the sources that generate events take every number from here, so that they agree,
in every process and also after a restart.
"""
