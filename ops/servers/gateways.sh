# shellcheck shell=bash
# Which gateways answer under the environment's name: one line each, "<address> <status>". ADDRESSES are asked one by one, whatever DNS says;
# whether the certificate is trusted is another check's question.
for address in $ADDRESSES; do
  status=$(curl --silent --insecure --output /dev/null --max-time 10 --write-out '%{http_code}' --resolve "$NAME:443:$address" "https://$NAME/healthz" || true)
  echo "$address ${status:-000}"
done
