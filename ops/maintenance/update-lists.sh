# shellcheck shell=bash
# apt waits for the lock of dpkg, but not for that of its lists.
deadline=$((SECONDS + 1200))
until said=$(apt-get -o Acquire::Languages=none -o APT::Update::Error-Mode=any update 2>&1); do
  if [[ $said != *'Could not get lock'* ]] || [ "$SECONDS" -ge "$deadline" ]; then
    printf '%s\n' "$said" >&2
    exit 1
  fi
  sleep 1
done
