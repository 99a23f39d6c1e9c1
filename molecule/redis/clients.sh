#!/usr/bin/env bash
# Meets the server as its clients do, invited or not, and says how each of them fares: a line `name: first word of what it is told` each.
# Passwords come as lines `name password` on standard input: in no argument, and in no environment but redis-cli's.
set -euo pipefail

declare -A passwords
while read -r name password; do
  passwords[$name]=$password
done

connect() {
  redis-cli -h redis --tls --cacert /ca.pem "$@" 2>&1
}

attempt() { # attempt NAME USER COMMAND...: as this user, with the password of that name or, after a slash, of another
  local name=$1 user=$2 answer
  shift 2
  if [ "$user" = nobody ]; then
    answer=$(connect "$@" || true)
  else
    answer=$(REDISCLI_AUTH=${passwords[${user#*/}]} connect --user "${user%/*}" "$@" || true)
  fi
  answer=${answer#AUTH failed: }
  read -r answer _ <<<"${answer#ERR }" || true
  printf '%s: "%s"\n' "$name" "$answer"
}

guard='redis.call("SET", KEYS[1], ARGV[1]) redis.call("HSET", KEYS[2], "ts_ms", ARGV[2])
  redis.call("PEXPIRE", KEYS[1], 600000) return redis.call("HGET", KEYS[2], "ts_ms")'
elsewhere='return redis.call("SET", "other", "1")'
sha=$(REDISCLI_AUTH=${passwords[processor]} connect --user processor SCRIPT LOAD "$guard")
sha_elsewhere=$(REDISCLI_AUTH=${passwords[processor]} connect --user processor SCRIPT LOAD "$elsewhere")

attempt "processor runs the guard" processor EVALSHA "$sha" 2 last_price:AAPL last_quote:AAPL 101.25 1700
attempt "processor sets the sentinel" processor SET millrace:complete 1
attempt "processor reads the sentinel" processor EXISTS millrace:complete
attempt "processor writes elsewhere" processor SET other 1
attempt "processor writes elsewhere by a script" processor EVALSHA "$sha_elsewhere" 0
attempt "processor runs a script of the moment" processor EVAL "return 1" 0
attempt "processor deletes" processor DEL last_price:AAPL
attempt "processor lists keys" processor KEYS '*'
attempt "processor empties it" processor FLUSHALL
attempt "processor configures" processor CONFIG GET '*'
attempt "processor lists users" processor ACL LIST
attempt "api reads a price" api GET last_price:AAPL
attempt "api reads a quote" api HGET last_quote:AAPL ts_ms
attempt "api reads elsewhere" api GET other
attempt "api writes" api SET last_price:AAPL 1
attempt "api runs the guard" api EVALSHA "$sha" 2 last_price:AAPL last_quote:AAPL 1 2
attempt "api lists keys" api SCAN 0
attempt "operator counts keys" operator DBSIZE
attempt "operator writes" operator SET last_price:AAPL 1
attempt "wrong password" processor/wrong PING
attempt "unknown user" somebody/processor PING
attempt "nobody reads" nobody GET last_price:AAPL
attempt "nobody asks who it is" nobody ACL WHOAMI
attempt "the default user" default/processor PING
printf 'without TLS: "%s"\n' "$(timeout 5 redis-cli -h redis PING 2>&1 | cut -d ' ' -f 1)"
