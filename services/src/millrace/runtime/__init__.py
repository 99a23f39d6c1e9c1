"""What every process of ours has: logs, probes, a watchdog, state files, exit codes."""
