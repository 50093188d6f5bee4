#!/bin/bash
# Runs errors.nix: every case must fail, and say what it must.
#
#   testbed/tests/errors.sh [--arg lib 'import PATH/lib']
set -u
file=$(dirname "$0")/errors.nix
status=0
names=$(nix eval --raw "$@" --file "$file" cases --apply 'cases: toString (builtins.attrNames cases)') || exit 2
for name in $names; do
  if output=$(nix eval "$@" --file "$file" "cases.$name.expr" 2>&1); then
    echo "$name: evaluated to $output instead of failing"
    status=1
    continue
  fi
  # Nix indents the text of an error.
  output=$(sed -e 's/^ *//' -e 's/\x1b\[[0-9;]*m//g' <<<"$output")
  while IFS= read -r expected; do
    if [[ $output != *"$expected"* ]]; then
      printf '%s: does not say: %s\n%s\n' "$name" "$expected" "$output"
      status=1
    fi
  done < <(nix eval --raw "$@" --file "$file" "cases.$name.says" --apply 'builtins.concatStringsSep "\n"'; echo)
done
exit $status
