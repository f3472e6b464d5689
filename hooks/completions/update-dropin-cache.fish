# Completes update-dropin-cache as what it stands for: dropin-cache update.

complete -c update-dropin-cache -e
complete -c update-dropin-cache -w 'dropin-cache update'
