# Adds what the caches know: packages, interfaces or names, as $1 has it; the rest is compadd's.
_dropin_cache_known() {
  local index what=$1
  local -a options found
  shift
  # It is about the environment that the command line is about.
  for ((index = 1; index < CURRENT; index++)); do
    case $words[index] in
      (--python|--path|--root) options+=("$words[index]=${${(Q)words[index + 1]}/#\~\//$HOME/}") ;;
      (--python=*|--path=*|--root=*) options+=("${${(Q)words[index]}/=\~\//=$HOME/}") ;;
    esac
  done
  found=(${(fu)"$(command dropin-cache list --json $options 2>/dev/null |
    awk -F '"' -v "what=$what" '@AWK@')"})
  compadd "$@" -a found
}

_dropin_cache_packages() { _dropin_cache_known package "$@" }
_dropin_cache_interfaces() { _dropin_cache_known interface "$@" }
_dropin_cache_names_and_files() {
  _dropin_cache_known name "$@"
  _files "$@"
}

# Completes the command that `run` is to run, and what follows.
_dropin_cache_command() {
  [[ $words[1] != -- ]] || { shift words; ((CURRENT--)) }
  _normal
}
