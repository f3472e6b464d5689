# Prints what the caches know and begins with $2: a package, interface or name, as $1 has it.
_dropin_cache_known() {
  local index options=() value
  # It is about the environment that the command line is about.
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "${COMP_WORDS[index]}" in
    --python | --path | --root)
      value="${COMP_WORDS[index + 1]}"
      [ "$value" != "=" ] || value="${COMP_WORDS[index + 2]}"
      options+=("${COMP_WORDS[index]}=${value/#\~\//$HOME/}")
      ;;
    esac
  done
  # Not by `compgen -W`, which expands what it is given.
  while IFS= read -r value; do
    case "$value" in "$2"*) printf '%s\n' "$value" ;; esac
  done < <(dropin-cache list --json "${options[@]}" 2>/dev/null |
    awk -F '"' -v "what=$1" '@AWK@' | sort -u)
}

_dropin_cache_packages() { _dropin_cache_known package "$1"; }
_dropin_cache_interfaces() { _dropin_cache_known interface "$1"; }
_dropin_cache_names_and_files() {
  _dropin_cache_known name "$1"
  compgen -f -- "$1"
}
