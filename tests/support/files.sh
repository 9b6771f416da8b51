# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The files that a lint script looks at: those of the tree, by kind, with or
# without git. Sourced in the top folder.

# Build folders have any name; meson leaves its mark in each.
tree_files() { # FIND_EXPRESSION...
        find . \( -path './build*' -o -name .git -o -name __pycache__ \) -prune -o \
                -type d -exec test -d '{}/meson-private' \; -prune -o -type f "$@" -print |
                sed 's|^\./||' | sort
}

c_files() {
        tree_files -name '*.[ch]'
}

shell_files() { # by the first line, or the name
        {
                tree_files \( -name '*.sh' -o -name '*.bash' \)
                tree_files ! -name '*.*' -size -256k | while read -r file; do
                        head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh\b' && echo "$file"
                done
        } | sort -u
}
