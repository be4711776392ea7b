/** Bash behind `File`. Each runs as one command, so that what it must not leave half-done does not depend on us staying alive. */

/** How WRITE tells apart what went wrong. */
export const EXIT = { refused: 97, restored: 98, restoredUnsettled: 99, notAFile: 96 } as const;

/** Above this a file that grew on the host is not ours to read. */
const MAX_READ_BYTES = 16 * 1024 * 1024;

// Prints what stands at $TARGET: its kind, then its digest, then its content unless the digest is $KNOWN.
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

// A leading dot and no suffix: folders such as conf.d and sudoers.d, which read all that is in them, pass over it.
const NEW_FILE = `
dir=$(dirname -- "$TARGET")
mkdir -p -- "$dir"
FILE=$(mktemp -- "$dir/.technicia.XXXXXXXX")
old=$FILE.old
state=untouched
trap 'exit 143' TERM
trap settle EXIT
chown -- "$OWNER:$GROUP" "$FILE"
chmod -- "$MODE" "$FILE"
cat > "$FILE"`;

// A script in a condition would run without -e: each gets a shell of its own whose exit code is looked at afterwards.
const GUARDED = `
guarded() { set +e; ( set -e; eval "$1" ) </dev/null >&2; guarded_code=$?; set -e; return 0; }`;

/**
 * Puts the content on standard input at $TARGET, owned and readable as it should be before the first byte is in it, and prints what was there.
 *
 * $VALIDATE judges it before anybody sees it. When $ON_CHANGE fails, or the script is killed meanwhile, the earlier file is put back.
 */
export const WRITE = `
${GUARDED}
put_back() { if [ -e "$old" ]; then mv -fT -- "$old" "$TARGET"; else rm -f -- "$TARGET"; fi; sync -- "$dir"; }
settle() {
  if [ "$state" = swapped ]; then put_back; echo "the earlier file was put back" >&2; fi
  rm -f -- "$FILE" "$old"
}
${SHOW}
before=$(show)
case $before in
  none|file\\ *) printf '%s\\n' "$before" ;;
  *) printf '%s\\n' "$before" >&2; exit ${EXIT.notAFile} ;;
esac
${NEW_FILE}
[ "$(sha256sum < "$FILE")" = "$SUM  -" ] || { echo "the content arrived incomplete" >&2; exit 1; }
sync -- "$FILE"
if [ -n "$VALIDATE" ]; then
  guarded "$VALIDATE"
  [ "$guarded_code" = 0 ] || exit ${EXIT.refused}
fi
if [ -e "$TARGET" ]; then ln -- "$TARGET" "$old"; fi
state=swapped
mv -fT -- "$FILE" "$TARGET"
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
 * Puts back the file on standard input, or removes $TARGET when $MODE is empty.
 *
 * What $ON_CHANGE acts on may be gone already, as what depends on a file is deleted first: its failure is told on stderr, not a failure.
 */
export const DELETE = `
settle() { rm -f -- "$FILE"; }
if [ -d "$TARGET" ] && [ ! -L "$TARGET" ]; then echo "it is a directory" >&2; exit 1; fi
if [ -n "$MODE" ]; then
  ${NEW_FILE}
  sync -- "$FILE"
  mv -fT -- "$FILE" "$TARGET"
  sync -- "$dir"
else
  rm -f -- "$TARGET"
fi
if [ -n "$ON_CHANGE" ]; then
  set +e; said=$( ( set -e; eval "$ON_CHANGE" ) 2>&1 </dev/null ); code=$?; set -e
  if [ "$code" != 0 ]; then
    echo "onChange failed afterwards with exit code $code and said:" >&2
    printf '%s\\n' "$said" | tail -n 5 >&2
  fi
fi`;
