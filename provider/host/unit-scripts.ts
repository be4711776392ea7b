/** Bash scripts of `Unit`. */

/** Exit codes by which APPLY names its failures. */
export const EXIT = { notFound: 97, notInstallable: 98, oneshot: 99 } as const;

// is-enabled also covers old init scripts, which the properties do not show. Its exit code is not a failure here.
const SHOW = `
show() {
  systemctl show --property LoadState,ActiveState -- "$UNIT"
  echo "enablement=$(systemctl is-enabled -- "$UNIT" 2>/dev/null || true)"
}`;

export const INSPECT = `${SHOW}
show`;

/** Brings $UNIT to $ENABLEMENT (enabled, disabled, masked) and $ACTIVE (yes, no), restarting it when $RESTART is yes. */
export const APPLY = `${SHOW}
property() { systemctl show --value --property "$1" -- "$UNIT"; }
failed() { journalctl --unit "$UNIT" --lines 18 --no-pager --output short-iso >&2 || true; echo "$1" >&2; exit 1; }

if [ "$(property LoadState)" = not-found ] || [ "$(property NeedDaemonReload)" = yes ]; then systemctl daemon-reload; fi
if [ "$(property LoadState)" = not-found ]; then exit ${EXIT.notFound}; fi

enablement=$(systemctl is-enabled -- "$UNIT" 2>/dev/null || true)
case $enablement in masked*)
  if [ "$ENABLEMENT" = enabled ] || [ "$ACTIVE" = yes ]; then systemctl unmask --quiet -- "$UNIT"; enablement=$(systemctl is-enabled -- "$UNIT" 2>/dev/null || true); fi ;;
esac
case $ENABLEMENT:$enablement in
  enabled:static | enabled:transient) exit ${EXIT.notInstallable} ;;
  enabled:enabled | enabled:alias) ;;
  enabled:*) systemctl enable --quiet -- "$UNIT" ;;
  disabled:enabled | disabled:enabled-runtime | disabled:alias | disabled:linked* | masked:enabled*) systemctl disable --quiet -- "$UNIT" ;;
esac

if [ "$ACTIVE" = no ]; then
  systemctl stop -- "$UNIT" || failed "it did not stop"
else
  verb=start
  if [ "$RESTART" = yes ]; then verb=restart; fi
  # What ran before has stayed, unless systemd keeps starting it; a timer, a socket and an ended oneshot have no process that could end.
  stay=10
  case $(property Type) in "" | oneshot) stay=1 ;; esac
  if [ "$verb:$(property ActiveState):$(property NRestarts)" = start:active:0 ]; then stay=1; fi
  # Earlier failures count towards the limit of starts.
  systemctl reset-failed -- "$UNIT" 2>/dev/null || true
  systemctl "$verb" -- "$UNIT" || failed "it did not $verb"
  # For a simple service "started" means only that the process was made: it counts once it has stayed for a second.
  stayed=0; since=
  for _ in {1..300}; do
    case $(property ActiveState) in
      active)
        now=$(property ActiveEnterTimestampMonotonic)
        if [ "\${since:=$now}" != "$now" ]; then failed "it ended right after it was started, and was started again"; fi
        stayed=$((stayed + 1)); if [ "$stayed" = "$stay" ]; then break; fi ;;
      activating) stayed=0; if [ "$(property SubState)" = auto-restart ]; then failed "it ended right after it was started"; fi ;;
      reloading) ;;
      *)
        if [ "$(property Type)" = oneshot ] && [ "$(property Result)" = success ]; then exit ${EXIT.oneshot}; fi
        failed "it ended right after it was started ($(property Result))" ;;
    esac
    sleep 0.1
  done
  if [ "$stayed" != "$stay" ]; then failed "it was still not active after 30 s ($(property SubState))"; fi
fi
if [ "$ENABLEMENT" = masked ]; then systemctl mask --quiet -- "$UNIT"; fi
show`;
