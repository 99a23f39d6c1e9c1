"""Common parts of all processes: logs, probes, watchdog, state files, exit codes."""
