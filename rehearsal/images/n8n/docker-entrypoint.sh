#!/bin/sh
# Further certificates are trusted from the folder that n8n documents for its image.
if [ -d /opt/custom-certificates ]; then
  export NODE_OPTIONS="--use-openssl-ca $NODE_OPTIONS"
  export SSL_CERT_DIR=/opt/custom-certificates
fi
exec n8n "$@"
