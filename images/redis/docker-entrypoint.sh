#!/usr/bin/env bash
# Starts redis-server with the given arguments, as the official image does: an option or a file *.conf is one of its arguments.
set -euo pipefail
case "$1" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . ! -user redis -exec chown redis: {} +
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
# What it writes is its own.
if [ "$(umask)" = 0022 ]; then
  umask 0077
fi
exec "$@"
