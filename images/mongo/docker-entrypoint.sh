#!/usr/bin/env bash
# Starts mongod with the given arguments, as the official image does. Millrace makes the first user over the localhost exception of a
# server that has authentication on, so the official image's MONGO_INITDB_ step, which starts one without, is refused here.
set -euo pipefail
if compgen -v MONGO_INITDB_ >/dev/null; then
  echo "MONGO_INITDB_ variables are not supported by this image" >&2
  exit 1
fi
if [ "${1:0:1}" = "-" ]; then
  set -- mongod "$@"
fi
if [ "$1" = mongod ]; then
  if [ "$(id -u)" = 0 ]; then
    find /data/db /data/configdb ! -user mongodb -exec chown mongodb: {} +
    exec setpriv --reuid=mongodb --regid=mongodb --init-groups "$0" "$@"
  fi
  # Reachable from other containers unless the arguments say where to listen; a configuration file says so by itself.
  case " $* " in
    *" --bind_ip"* | *" --config"* | *" -f"* | *" --help "* | *" --version "*) ;;
    *) set -- "$@" --bind_ip_all ;;
  esac
fi
exec "$@"
