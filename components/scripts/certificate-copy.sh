#!/bin/bash
# The certificate of a gateway that does not order one: another server gives it through its door in the tunnel, and the rest is as there.
#   certificate-copy status   one line on what port 443 presents; once it is what the other server presents, the line is that server's
#   certificate-copy fetch    asks for another pair than the one that is here, and installs it; what fails leaves the old one in its place
set -euo pipefail
# shellcheck source=/dev/null
. /etc/technicia/certificate-copy.env
: "${SERVER:?}" "${SOURCE:?}" "${ADDRESS:?}" "${NAME:?}" "${TLS:?}" "${COPY:?}"
# shellcheck disable=SC2034 # of the functions of certificate.sh
name=$NAME
live=$COPY/live
least_seconds=$((7 * 24 * 3600))
# It asks every hour.
silent_minutes=$((2 * 24 * 60))

# functions: certificate.sh

fail() {
  echo "certificate-copy: expected $SOURCE to give its certificate, got $1; what was served before is served on. $2" >&2
  exit 1
}

status() {
  local certificate
  certificate=$(served) || { echo "port 443 presents no certificate"; return; }
  if [ ! -s "$live/fullchain.pem" ] || [ "$(fingerprint <<<"$certificate")" != "$(fingerprint <"$live/fullchain.pem")" ]; then
    echo "port 443 presents another certificate than the one of $SOURCE"
  elif ! openssl x509 -noout -checkend "$least_seconds" <<<"$certificate" >/dev/null; then
    echo "port 443 presents a certificate that ends $(openssl x509 -noout -enddate <<<"$certificate" | cut -d= -f2)"
  elif [ -z "$(find "$COPY/answered" -mmin "-$silent_minutes" 2>/dev/null)" ]; then
    echo "$SOURCE has given no certificate since $(date --utc --reference "$COPY/answered" +%FT%TZ 2>/dev/null || echo ever)"
  else
    cat "$live/valid"
  fi
}

# Key and all: one that was changed by hand is fetched again.
digest() {
  local pair
  pair=$(cat "$live/fullchain.pem" "$live/privkey.pem" 2>/dev/null) || { echo nothing; return; }
  sha256sum <<<"$pair" | cut -d ' ' -f 1
}

# Neither proof nor key is ever on a command line, which everybody on the server can read.
fetch() {
  local proof answer told
  umask 077
  exec 9>/run/technicia-certificate-copy.lock
  flock --timeout 120 9
  proof=$(</etc/technicia/certificate-copy.proof)
  # A connection that nobody answers would wait for minutes.
  # shellcheck disable=SC2016 # for the shell inside
  if ! timeout 5 bash --norc -c 'exec 3<>"/dev/tcp/$1/7947"' - "$ADDRESS" 2>/dev/null || ! exec {door}<>"/dev/tcp/$ADDRESS/7947"; then
    fail "no connection to $ADDRESS" "Look at wg show, and on $SOURCE at systemctl status technicia-swarm-door.socket"
  fi
  printf '%s %s certificate %s\n' "$SERVER" "$proof" "$(digest)" >&"$door"
  read -r -t 60 -u "$door" answer told || fail "no answer" "On $SOURCE look at journalctl --unit 'technicia-swarm-door@*'"
  case $answer in
    same) printf '%s\n' "$told" >"$live/valid" ;;
    pair) receive "$told" ;;
    none) fail "none ($told)" "Run /opt/technicia/bin/certificate status there" ;;
    *) fail refused "Deploy again, because its list of servers is older than this one" ;;
  esac
  touch "$COPY/answered"
  install_live
}

# Takes a pair that is whole, and whose key is the certificate's.
receive() {
  local new=$COPY/live.new text='' line=''
  while read -r -t 30 -u "$door" line && [ "$line" != end ]; do text+=$line$'\n'; done
  if [ "$line" != end ]; then fail "a part of it" "The next visit asks again"; fi
  rm -rf "$new"
  mkdir -p "$new"
  sed '/BEGIN .*PRIVATE KEY/,$d' <<<"${text%$'\n'}" >"$new/fullchain.pem"
  sed --quiet '/BEGIN .*PRIVATE KEY/,$p' <<<"${text%$'\n'}" >"$new/privkey.pem"
  printf '%s\n' "$1" >"$new/valid"
  if [ "$(openssl x509 -in "$new/fullchain.pem" -noout -pubkey 2>/dev/null || echo none)" != "$(openssl pkey -in "$new/privkey.pem" -pubout 2>/dev/null)" ]; then
    rm -rf "$new"
    fail "a key that is another one's" "Run /opt/technicia/bin/certificate renew there"
  fi
  sync "$new"/*
  rm -rf "$live"
  mv "$new" "$live"
}

case ${1:-} in
  status) status ;;
  fetch) fetch ;;
  *)
    echo "usage: certificate-copy status | fetch" >&2
    exit 2
    ;;
esac
