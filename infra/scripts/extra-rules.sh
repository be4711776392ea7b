# shellcheck shell=bash
# Chains and rules of nftables beside our own table, which is compared with its file, and Docker's and fail2ban's, which they write themselves.
extras() {
  nft --stateless --handle list ruleset 2>/dev/null | awk '
    function tell(words, fields) { print words "\t" fields }
    $1 == "table" {
      family = $2; table = $3; foreign = 0
      if (family " " table == "inet technicia" || table ~ /^f2b/ || table ~ /^docker/) foreign = 1
      else if (family !~ /^ip6?$/ || table !~ /^(filter|nat|mangle|raw|security)$/) {
        tell("table " family " " table " of nftables", "table\t" family "\t" table); foreign = 1
      }
      next
    }
    foreign { next }
    $1 == "chain" {
      chain = $2; ours = 0; other = 0
      if (chain ~ /^f2b-/ || (chain ~ /^DOCKER/ && chain != "DOCKER-USER")) other = 1
      else if (chain !~ /^(INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|DOCKER-USER)$/) {
        tell("chain " chain " of " family " " table, "chain\t" family "\t" table "\t" chain); other = 1
      }
      next
    }
    other || $1 == "type" || $1 == "}" || NF == 0 { next }
    {
      handle = $NF; rule = $0
      sub(/ # handle [0-9]+$/, "", rule); sub(/^[ \t]+/, "", rule); gsub(/"/, "", rule)
      if (rule !~ /(^| )(accept|queue|redirect|dnat|jump|goto)( |$)/) next
      bridge = "(docker0|docker_gwbridge|br-[0-9a-f]+)"
      if (rule ~ /(jump|goto) (DOCKER|f2b-)[A-Za-z0-9_-]*$/) next
      if (chain == "FORWARD") {
        if (rule ~ "^oifname " bridge " (ct state|xt match).*accept$") next
        if (rule ~ "^iifname " bridge " oifname (!= )?" bridge " (counter )?accept$") next
      }
      tell("rule " rule " in " family " " table " " chain, "rule\t" family "\t" table "\t" chain "\t" handle)
    }'
}

take() {
  case $1 in
    # A rule that jumped to a chain too many went with it.
    rule) ! grep --quiet --fixed-strings "$(printf 'rule\t%s\t%s\t%s\t%s' "${@:2}")" <<<"$(extras)" || nft delete rule "$2" "$3" "$4" handle "$5" ;;
    chain) nft flush chain "$2" "$3" "$4" && drop_jumps "$2" "$3" "$4" && nft delete chain "$2" "$3" "$4" ;;
    table) nft delete table "$2" "$3" ;;
  esac
}

drop_jumps() {
  local chain handle
  nft --stateless --handle list table "$1" "$2" | awk -v target="$3" '
    $1 == "chain" { chain = $2 }
    { for (i = 1; i < NF; i++) if (($i == "jump" || $i == "goto") && $(i + 1) == target) print chain, $NF }' |
    while read -r chain handle; do nft delete rule "$1" "$2" "$chain" handle "$handle"; done
}
