# shellcheck shell=bash disable=SC2016
# Compares the loaded table with the file TABLE. The file is loaded into an empty network namespace and printed there, so that nft prints both.

# part: observe
test -f "$TABLE" || exit 0
expected=$(unshare --net sh -c 'nft --file "$1" && nft --stateless list table inet technicia' - "$TABLE")
loaded=$(nft --stateless list table inet technicia 2>/dev/null || true)
if [ "$expected" = "$loaded" ]; then
  echo "the loaded table is the file's"
else
  echo "the loaded table differs from the file's:"
  diff <(echo "$expected") <(echo "$loaded") || true
fi

# part: apply
nft --file "$TABLE"

# part: remove
nft delete table inet technicia
