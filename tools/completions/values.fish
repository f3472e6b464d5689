# Prints what the caches know: packages, interfaces or names, as the argument has it.
function _dropin_cache_known -a what
  set -l options
  set -l option
  # It is about the environment that the command line is about.
  for token in (commandline -opc)
    if test -n "$option"
      set -a options "$option="(string replace -r '^~/' "$HOME/" -- $token)
      set option
      continue
    end
    switch $token
      case --python --path --root
        set option $token
      case '--python=*' '--path=*' '--root=*'
        set -a options (string replace -r '=~/' "=$HOME/" -- $token)
    end
  end
  command dropin-cache list --json $options 2>/dev/null |
    awk -F '"' -v "what=$what" '@AWK@' | sort -u
end

# Completes the command that `run` is to run, and what follows, as if nothing stood before it.
function _dropin_cache_command
  set -l tokens (commandline -opc)
  while test "$tokens[1]" != run
    set -e tokens[1]
  end
  set -e tokens[1]
  while string match -qr -- '^-' "$tokens[1]"
    set -l option $tokens[1]
    set -e tokens[1]
    test "$option" = -- && break
    contains -- $option --python --path --color && set -e tokens[1]
  end
  set -l line (string join ' ' -- (string escape -- $tokens) (commandline -ct))
  complete --do-complete="$line"
end
