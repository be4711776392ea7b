# shellcheck shell=bash
# The image has bash but neither curl nor wget.

# part: ready
exec 3<>/dev/tcp/127.0.0.1/6333 && printf 'GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 && grep -q ' 200 ' <&3
