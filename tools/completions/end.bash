# Behind the first word of the command that `run` is to run, everything is that command's.
_dropin_cache() {
  local index=2
  if [ "${COMP_WORDS[1]}" != run ]; then
    _shtab_dropin_cache "$@"
    return
  fi
  while [ "$index" -lt "$COMP_CWORD" ]; do
    case "${COMP_WORDS[index]}" in
    --python | --path | --color)
      [ "${COMP_WORDS[index + 1]}" != "=" ] || index=$((index + 1))
      index=$((index + 2))
      ;;
    --) index=$((index + 1)) && break ;;
    -*) index=$((index + 1)) ;;
    *) break ;;
    esac
  done
  if [ "$index" -gt "$COMP_CWORD" ]; then
    _shtab_dropin_cache "$@"
  elif [ "$index" -eq "$COMP_CWORD" ]; then
    case "${COMP_WORDS[COMP_CWORD]}" in
    -*) _shtab_dropin_cache "$@" ;;
    *) mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}") ;;
    esac
  elif declare -F _comp_command_offset >/dev/null; then # of bash-completion 2.12
    _comp_command_offset "$index"
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$index"
  else
    mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
  fi
}

complete -o bashdefault -F _dropin_cache dropin-cache
