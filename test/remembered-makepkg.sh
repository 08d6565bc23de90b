#!/usr/bin/env bash
# Stands before makepkg, and before the programs by which an agent confines it, in the PATH of a test fleet's builders. A
# question about a PKGBUILD is answered from `answers`, beside this file, if the same was asked on this machine before:
# makepkg takes more than a second to answer, and a killed agent asks again. Everything else goes to the real program.
set -euo pipefail
here=$(dirname "$0")
PATH=${PATH//"$here:"/}
argv=("${0##*/}" "$@")
question=${argv[*]: -2}
case $question in
  'makepkg --printsrcinfo' | 'makepkg --packagelist') ;;
  *) exec "${argv[@]}" ;;
esac

answers=$(readlink -f "$here/answers")
described() {
  printf '%s\n' "$question"
  stat --format='%s %Y' "$(type -P makepkg)" /etc/makepkg.conf
  env | grep -vE '^(_|SHLVL|OLDPWD)=' | sort
  find . ! -type d -printf '%P %m %l\n' | sort
  find . -type f -print0 | sort -z | xargs -0 sha256sum
}
key=$(described | sed "s|$PWD|@here@|g" | sha256sum | cut -d' ' -f1)
if [[ ! -e $answers/$key ]]; then
  said=$(mktemp "$here/said.XXXXXX")
  # A failure, or a complaint, is not kept.
  code=0
  "${argv[@]}" >"$said" 2>"$said.err" || code=$?
  if ((code)) || [[ -s $said.err ]]; then
    cat "$said"
    cat "$said.err" >&2
    exit "$code"
  fi
  sed "s|$PWD|@here@|g" "$said" >"$answers/$key.$$"
  mv "$answers/$key.$$" "$answers/$key"
  rm "$said" "$said.err"
fi
sed "s|@here@|$PWD|g" "$answers/$key"
