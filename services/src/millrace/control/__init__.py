"""An operator's commands to running services: `millrace standing` and `millrace producer`."""
