#!/bin/bash
# Says hello in TLS and wants to be greeted back within five seconds: a process that is stopped or stuck accepts
# connections (the kernel does), but does not answer. It starts no JVM, and the broker logs nothing about it.
set -eu
LC_ALL=C
exec 3<>"/dev/tcp/127.0.0.1/$1"
{
  # A TLS 1.2 ClientHello: record, handshake, version, 32 random bytes.
  printf '\x16\x03\x01\x00\x4e\x01\x00\x00\x4a\x03\x03'
  printf 'millrace%.0s' 1 2 3 4
  # No session, two cipher suites, no compression, and the extensions that elliptic curves need.
  printf '\x00\x00\x04\xc0\x2b\xc0\x2f\x01\x00\x00\x1d'
  printf '\x00\x0a\x00\x04\x00\x02\x00\x17\x00\x0b\x00\x02\x01\x00'
  printf '\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04\xff\x01\x00\x01\x00'
} >&3
IFS= read -r -t 5 -N 1 answer <&3
[ "$answer" = $'\x16' ]
