# Completion of datastore(8) for fish. `datastore completions fish` prints this file; packages install it as
# /usr/share/fish/vendor_completions.d/datastore.fish.
#
# What may stand next is asked from the command itself. It is the `datastore` of the PATH, never a program that is only being typed.

function __datastore_words
    set -l typed (commandline --current-process --tokenize --cut-at-cursor)
    datastore completions fish --word (count $typed) -- $typed (commandline --current-token --cut-at-cursor) 2>/dev/null
end

complete --command datastore --no-files --keep-order --arguments '(__datastore_words)'
