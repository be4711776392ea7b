#!/bin/bash
# Gets, renews and installs the certificate that the gateway serves.
#   certificate status   one line on what port 443 presents
#   certificate issue    what is missing or wrong is asked of the authority, then installed; for a deployment, which knows ADDRESS
#   certificate renew    the same for what is due, as the timer runs it; "--force" renews at once
set -euo pipefail
# shellcheck source=/dev/null
. /etc/technicia/certificate.env
: "${IMAGE:?}" "${DOMAINS:?}" "${EMAIL:?}" "${DIRECTORY:?}" "${KEY_TYPE:?}" "${TLS:?}" "${WEBROOT:?}" "${LETSENCRYPT:?}"
name=${DOMAINS%% *}
live=$LETSENCRYPT/live/$name
# Renewal begins with a third of the life left; below this something has failed for days.
least_seconds=$((7 * 24 * 3600))

certbot() {
  mkdir -p "$LETSENCRYPT" "$LETSENCRYPT.log"
  # The authority is trusted as the host trusts it: certbot's own bundle knows public ones only.
  docker run --rm \
    --volume "$LETSENCRYPT:/etc/letsencrypt" --volume "$LETSENCRYPT.log:/var/log/letsencrypt" \
    --volume "$WEBROOT:/var/www/acme" --volume /etc/ssl/certs:/etc/ssl/certs:ro \
    --env REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
    "$IMAGE" "$@"
}

served() {
  openssl s_client -connect 127.0.0.1:443 -servername "$name" </dev/null 2>/dev/null | openssl x509 2>/dev/null
}

status() {
  local certificate names kind authority
  certificate=$(served) || { echo "port 443 presents no certificate"; return; }
  if [[ $(openssl x509 -noout -subject <<<"$certificate") == *placeholder.invalid* ]]; then
    echo "port 443 presents the placeholder"
    return
  fi
  if ! openssl x509 -noout -checkend "$least_seconds" <<<"$certificate" >/dev/null; then
    echo "port 443 presents a certificate that ends $(openssl x509 -noout -enddate <<<"$certificate" | cut -d= -f2)"
    return
  fi
  if [ ! -s "$live/cert.pem" ] || [ "$(fingerprint <<<"$certificate")" != "$(fingerprint <"$live/cert.pem")" ]; then
    echo "port 443 presents a certificate that is not the one on disk"
    return
  fi
  names=$(openssl x509 -noout -ext subjectAltName <<<"$certificate" | grep -o 'DNS:[^, ]*' | cut -d: -f2 | LC_ALL=C sort | tr '\n' ' ')
  kind=rsa
  if [[ $(openssl x509 -noout -text <<<"$certificate") == *'Public Key Algorithm: id-ecPublicKey'* ]]; then kind=ecdsa; fi
  authority=$(sed -n 's/^server = //p' "$LETSENCRYPT/renewal/$name.conf")
  echo "valid for ${names% }, $kind, from $authority"
}

# Nothing in, nothing out.
fingerprint() { openssl x509 -noout -fingerprint -sha256 2>/dev/null; }

# The names must lead here as the authority sees them, or it counts a failure against the account.
await_names() {
  local domain deadline=$((SECONDS + 300))
  for domain in $DOMAINS; do
    until getent ahostsv4 "$domain" | grep -q "^$ADDRESS "; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        echo "certificate: expected $domain to lead to $ADDRESS, got $(getent ahostsv4 "$domain" | cut -d' ' -f1 | sort -u | tr '\n' ' '); look at the zone's records and wait for their time to live" >&2
        exit 1
      fi
      sleep 2
    done
  done
}

# nginx reads key and chain through the link "current", so that one rename changes both: with one of each it would not start.
install_pair() {
  local version file
  link_pair
  version=version.$(date --utc +%Y%m%dT%H%M%SZ).$$
  install --directory --mode 0700 "$TLS/$version"
  install --mode 0600 "$live/privkey.pem" "$TLS/$version/privkey.pem"
  install --mode 0644 "$live/fullchain.pem" "$TLS/$version/fullchain.pem"
  sync "$TLS/$version/privkey.pem" "$TLS/$version/fullchain.pem" "$TLS/$version"
  point current "$version"
  for file in "$TLS"/version.*; do
    if [ "${file##*/}" != "$version" ]; then rm -rf "$file"; fi
  done
}

# The first certificate lies there as two files, and so does one of earlier releases: they become links to the same content.
link_pair() {
  local file
  if [ -L "$TLS/privkey.pem" ] && [ -L "$TLS/fullchain.pem" ]; then return; fi
  rm -rf "$TLS/version.first.new"
  install --directory --mode 0700 "$TLS/version.first.new"
  for file in privkey.pem fullchain.pem; do cp --dereference --preserve=mode "$TLS/$file" "$TLS/version.first.new/"; done
  rm -rf "$TLS/version.first"
  mv --no-target-directory "$TLS/version.first.new" "$TLS/version.first"
  point current version.first
  for file in privkey.pem fullchain.pem; do point "$file" "current/$file"; done
}

point() {
  rm -f "$TLS/$1.link"
  ln --symbolic "$2" "$TLS/$1.link"
  mv --no-target-directory "$TLS/$1.link" "$TLS/$1"
  sync "$TLS"
}

is_installed() {
  [ -L "$TLS/privkey.pem" ] && cmp --silent "$live/privkey.pem" "$TLS/privkey.pem" && cmp --silent "$live/fullchain.pem" "$TLS/fullchain.pem"
}

is_presented() { [ "$(served | fingerprint)" = "$(fingerprint <"$live/fullchain.pem")" ]; }

install_live() {
  if ! is_installed; then install_pair; fi
  # A reload ends what is still being answered after a while, so nothing but another certificate is a reason for one.
  if is_presented; then return; fi
  /opt/technicia/bin/gateway-reload
  local deadline=$((SECONDS + 30))
  until is_presented; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "certificate: expected port 443 to present the new certificate within 30 s, got $([ -n "$(served)" ] && echo another || echo none); look at the gateway's log" >&2
      exit 1
    fi
    sleep 1
  done
}

order() {
  local domain said names=()
  for domain in $DOMAINS; do names+=(--domain "$domain"); done
  for _ in 1 2 3; do
    if said=$(certbot certonly --non-interactive --agree-tos --email "$EMAIL" --server "$DIRECTORY" \
      --webroot --webroot-path /var/www/acme --cert-name "$name" "${names[@]}" \
      --key-type "$KEY_TYPE" --renew-with-new-domains "$@" 2>&1); then
      echo "$said"
      return
    fi
    echo "$said" >&2
    # An authority may refuse any nonce (RFC 8555, 6.5); certbot asks again once, and some refuse two in a row.
    if [[ $said != *'anti-replay nonce'* ]]; then break; fi
  done
  echo "certificate: expected a certificate from $DIRECTORY, got the refusal above; what was served before is served on. certbot's log on the server is $LETSENCRYPT.log/letsencrypt.log" >&2
  exit 1
}

case ${1:-} in
  status) status ;;
  issue)
    : "${ADDRESS:?expected the address of this server, which only a deployment knows; by hand use: certificate renew}"
    await_names
    # Another authority or another kind of key is a new certificate, however long the old one would last.
    renewal=$LETSENCRYPT/renewal/$name.conf
    if [ -s "$renewal" ] && { ! grep -qxF "server = $DIRECTORY" "$renewal" || ! grep -qxF "key_type = $KEY_TYPE" "$renewal"; }; then
      order --force-renewal
    else
      order --keep-until-expiring
    fi
    install_live
    ;;
  renew)
    if [ "${2:-}" = --force ]; then order --force-renewal; else order --keep-until-expiring; fi
    install_live
    ;;
  *)
    echo "usage: certificate status | issue | renew [--force]" >&2
    exit 2
    ;;
esac
