/** Bash scripts of `File`. Each runs as one command, so that it finishes or cleans up even when the plugin dies. */

/** Exit codes by which WRITE names its failures. */
export const EXIT = { refused: 97, restored: 98, restoredUnsettled: 99, notAFile: 96 } as const;

/** Larger files are not read. */
const MAX_READ_BYTES = 16 * 1024 * 1024;

// Prints the kind of $TARGET, then its digest, then its content unless the digest is $KNOWN.
const SHOW = `
show() {
  if [ -L "$TARGET" ]; then printf 'a symbolic link to %s\\n' "$(readlink -- "$TARGET")"
  elif [ ! -e "$TARGET" ]; then echo none
  elif [ ! -f "$TARGET" ]; then stat -c 'a %F' -- "$TARGET"
  elif [ "$(stat -c %s -- "$TARGET")" -gt ${MAX_READ_BYTES} ]; then stat -c 'a file of %s bytes' -- "$TARGET"
  else
    stat -c 'file %a %U %G' -- "$TARGET"
    sum=$(sha256sum < "$TARGET"); sum=\${sum%% *}; echo "$sum"
    if [ "$sum" != "$KNOWN" ]; then base64 -w0 -- "$TARGET"; fi
  fi
}`;

export const INSPECT = `${SHOW}
show`;

// What root does in a folder of somebody else's, that person can turn elsewhere with a link. So it is done as that person.
const AS_OWNER = `
dir=$(dirname -- "$TARGET")
near=$dir
while [ ! -e "$near" ]; do near=$(dirname -- "$near"); done
person=$(stat -c %U -- "$near")
as_owner() {
  if [ "$person" = root ] || [ "$person" != "$OWNER" ]; then "$@"
  else setpriv --reuid "$OWNER" --regid "$GROUP" --init-groups -- "$@"; fi
}`;

// The name has a leading dot and no suffix, so that programs ignore it in folders such as conf.d and sudoers.d.
const NEW_FILE = `
as_owner mkdir -p -- "$dir"
FILE=$(as_owner mktemp -- "$dir/.technicia.XXXXXXXX")
old=$FILE.old
state=untouched
trap 'exit 143' TERM
trap settle EXIT
as_owner chown -- "$OWNER:$GROUP" "$FILE"
as_owner chmod -- "$MODE" "$FILE"
as_owner tee -- "$FILE" >/dev/null`;

// Inside a condition, bash ignores -e. Each script therefore runs in a subshell whose exit code is tested afterwards.
const GUARDED = `
guarded() { set +e; ( set -e; eval "$1" ) </dev/null >&2; guarded_code=$?; set -e; return 0; }`;

/**
 * Writes standard input to $TARGET and prints the earlier file. Owner and mode are set before the first byte is written. $REPLACE says that a
 * link, or a file too large to be read, may be replaced: it is in the place of a file of ours.
 *
 * $VALIDATE tests the new file before it replaces the old one. When $ON_CHANGE fails, or the script is killed meanwhile, the earlier file is
 * restored.
 */
export const WRITE = `
${GUARDED}
${AS_OWNER}
there() { [ -e "$1" ] || [ -L "$1" ]; }
put_back() { if there "$old"; then as_owner mv -fT -- "$old" "$TARGET"; else as_owner rm -f -- "$TARGET"; fi; sync -- "$dir"; }
settle() {
  if [ "$state" = swapped ]; then put_back; echo "the earlier file was put back" >&2; fi
  as_owner rm -f -- "$FILE" "$old"
}
${SHOW}
before=$(show)
case $before in
  none|file\\ *) printf '%s\\n' "$before" ;;
  'a symbolic link '*|'a file of '*) if [ -z "$REPLACE" ]; then printf '%s\\n' "$before" >&2; exit ${EXIT.notAFile}; fi; echo none ;;
  *) printf '%s\\n' "$before" >&2; exit ${EXIT.notAFile} ;;
esac
${NEW_FILE}
[ "$(sha256sum < "$FILE")" = "$SUM  -" ] || { echo "the content arrived incomplete" >&2; exit 1; }
sync -- "$FILE"
if [ -n "$VALIDATE" ]; then
  guarded "$VALIDATE"
  [ "$guarded_code" = 0 ] || exit ${EXIT.refused}
fi
if there "$TARGET"; then ln -- "$TARGET" "$old"; fi
state=swapped
as_owner mv -fT -- "$FILE" "$TARGET"
sync -- "$dir"
if [ -n "$ON_CHANGE" ]; then
  guarded "$ON_CHANGE"
  if [ "$guarded_code" != 0 ]; then
    put_back
    state=restored
    guarded "$ON_CHANGE"
    [ "$guarded_code" = 0 ] || exit ${EXIT.restoredUnsettled}
    exit ${EXIT.restored}
  fi
fi
state=done`;

/**
 * Restores the file on standard input, or removes $TARGET when $MODE is empty.
 *
 * Resources that depend on a file are deleted first, so $ON_CHANGE may have nothing left to act on. Its failure is only reported on stderr.
 */
export const DELETE = `
${AS_OWNER}
settle() { as_owner rm -f -- "$FILE"; }
if [ -d "$TARGET" ] && [ ! -L "$TARGET" ]; then echo "it is a directory" >&2; exit 1; fi
if [ -n "$MODE" ]; then
  ${NEW_FILE}
  sync -- "$FILE"
  as_owner mv -fT -- "$FILE" "$TARGET"
  sync -- "$dir"
else
  as_owner rm -f -- "$TARGET"
fi
if [ -n "$ON_CHANGE" ]; then
  set +e; said=$( ( set -e; eval "$ON_CHANGE" ) 2>&1 </dev/null ); code=$?; set -e
  if [ "$code" != 0 ]; then
    echo "onChange failed afterwards with exit code $code and said:" >&2
    printf '%s\\n' "$said" | tail -n 5 >&2
  fi
fi`;
