# Completion of datastore(8) for bash. `datastore completions bash` prints this file; packages install it as
# /usr/share/bash-completion/completions/datastore.
#
# What may stand next is asked from the command itself. It is the `datastore` of the PATH, never a program that is only being typed.

_datastore() {
    local IFS=$'\n' words=("${COMP_WORDS[@]}")
    words[COMP_CWORD]=$2 # up to the cursor
    mapfile -t COMPREPLY < <(datastore completions bash --word "$COMP_CWORD" -- "${words[@]}" 2>/dev/null)
    # A directory goes on, and so does an option that waits for its value.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _datastore datastore
