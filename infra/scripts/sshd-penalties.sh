# shellcheck shell=bash
# From 9.8 on, sshd shuts out addresses whose connections end early, as a parallel deployment's and a look at the host key do. NETWORKS are spared.
readonly file=/etc/ssh/sshd_config.d/11-technicia-penalties.conf

# An older sshd refuses the keyword, and shuts nobody out.
knows_penalties() { /usr/sbin/sshd -t -o "PerSourcePenaltyExemptList=$NETWORKS" 2>/dev/null; }

content() {
  echo '# Managed: a change made here by hand is found and undone.'
  if knows_penalties; then echo "PerSourcePenaltyExemptList $NETWORKS"; fi
}

observe() {
  local spared
  if [ "$(cat "$file" 2>/dev/null)" != "$(content)" ]; then
    echo "$file is not as it was written"
    return
  fi
  if knows_penalties; then
    spared=$(/usr/sbin/sshd -T 2>/dev/null | sed --quiet 's/^persourcepenaltyexemptlist //p')
    [ "$spared" = "$NETWORKS" ] || { echo "sshd's penalties spare ${spared:-nobody}"; return; }
  fi
  echo "administrators are spared"
}

apply() {
  content >"$file"
  chmod 0644 "$file"
  /usr/sbin/sshd -t
  systemctl reload ssh.service
}

remove() {
  rm --force "$file"
  systemctl reload ssh.service
}
