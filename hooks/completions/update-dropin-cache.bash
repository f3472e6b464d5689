# Completes update-dropin-cache as what it stands for: dropin-cache update.

_update_dropin_cache() {
    # The file of that command lies beside this one, with the same ending if any.
    declare -F _shtab_dropin_cache >/dev/null || . "$_update_dropin_cache_command"
    COMP_WORDS=(dropin-cache update "${COMP_WORDS[@]:1}")
    COMP_CWORD=$((COMP_CWORD + 1))
    _shtab_dropin_cache "$@"
}

_update_dropin_cache_command="${BASH_SOURCE[0]%/*}/${BASH_SOURCE[0]##*/update-}"
complete -o bashdefault -F _update_dropin_cache update-dropin-cache
