# shellcheck shell=bash disable=SC2154
#
# The shell that runs on the host for one ssh channel: it takes programs from its standard input and runs them one after the other, so that
# sudo and sshd do their work once. remote-shell.ts writes the requests and reads the answers.
#
#   standard input    request*
#   request           mark SP size SP length LF program input
#     mark            32 hexadecimal digits, random, new for each request
#     size            number of bytes of the program
#     length          number of bytes of the input; with 0 the program reads an empty input
#     program         bash, ends with "#sealed"
#     input           base64 of what the program reads from its standard input
#
#   standard output   answer*
#   standard error    answer*
#   answer            LF mark SP "begin" LF  output of the program  LF mark SP "end" SP code SP left LF
#     code            exit code of the program
#     left            1 while processes that the program started still run and may still print, otherwise 0
#
# The marks separate the output of a program from the greeting of a login and from a daemon that keeps the output open.
#
# Each program runs in a process group of its own. While it runs, standard input is its lifeline: the client sends nothing until the answer is
# complete. When the input ends (the call was cancelled, its time is over, the connection or the client died), the process group gets SIGTERM,
# and SIGKILL five seconds later. A request that breaks off is not run; the shell exits with 125.

# The braces make bash read all of this before it runs any of it, and not a byte of the requests.
{
set -m
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022; cd /
LC_ALL=C
exec 3<&0 </dev/null 4>&2 2>/dev/null
# read spares a process; above 64 KiB head is faster.
take() {
  if [ "$2" = 0 ]; then printf -v "$1" ''
  elif [ "$2" -gt 65536 ]; then printf -v "$1" %s "$(head -c "$2" <&3)"
  else IFS= read -r -N "$2" -u 3 "$1"; fi
}
while read -r mark size length <&3; do
  take program "$size"; take input "$length"
  [ "${program: -7}" = '#sealed' ] && [ "${#input}" = "$length" ] || exit 125
  printf '\n%s begin\n' "$mark"; printf '\n%s begin\n' "$mark" >&4
  ( exec 2>&4 3<&- 4>&-; set +m; export LC_ALL=C.UTF-8
    # This subshell ignores SIGTERM, because it must outlast the program, which may have to clean up.
    if [ -n "$input" ]; then trap : TERM; printf %s "$input" | base64 -d | eval "$program"; else eval "$program"; fi ) &
  job=$!
  ( exec >/dev/null 4>&-
    while read -r _ <&3; do :; done
    kill -TERM -- "-$job"
    for _ in {1..50}; do sleep 0.1; kill -0 -- "-$job" || exit 0; done
    kill -KILL -- "-$job" ) &
  watch=$!
  unset program input
  code=0; wait "$job" || code=$?
  # The input has ended: the watcher is killing what is left of the program.
  if kill -0 -- "-$job" && read -t 0 -u 3; then wait "$watch"; fi
  left=0; if kill -0 -- "-$job"; then left=1; fi
  kill -KILL -- "-$watch"; wait "$watch"
  printf '\n%s end %s %s\n' "$mark" "$code" "$left"; printf '\n%s end %s %s\n' "$mark" "$code" "$left" >&4
done
exit 0
}
