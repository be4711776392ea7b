# shellcheck shell=bash
# New keys and servers without a lost packet; a new address of this server needs the interface anew, and Docker with it.
if systemctl --quiet is-active wg-quick@wg0.service; then
  wanted=$(sed --quiet 's/^Address = //p' /etc/wireguard/wg0.conf 2>/dev/null || true)
  if [ "$wanted" = "$(ip -4 -oneline address show dev wg0 | awk '{ print $4 }')" ]; then
    wg syncconf wg0 <(wg-quick strip wg0)
  else
    systemctl restart wg-quick@wg0.service
  fi
fi
