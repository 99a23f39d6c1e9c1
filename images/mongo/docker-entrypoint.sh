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
exec "$@"
