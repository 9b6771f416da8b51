# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Completion of tmctl for bash: commands, options, pids, snapshots, units. The
# options are those of 'tmctl COMMAND --help', so that no list has to be kept here.

# tmctl, without starting a daemon and without complaints; the line's own choice of a daemon counts
_tmctl_ask() {
        local i choice=()
        for ((i = 1; i < ${#words[@]}; i++)); do
                case ${words[i]} in
                --system | --user) choice+=("${words[i]}") ;;
                --runtime-dir) choice+=(--runtime-dir "${words[i + 1]}") ;;
                esac
        done
        TMCTL_NO_START=1 "${words[0]}" "$@" "${choice[@]}" 2>/dev/null
}

_tmctl_commands() {
        "${words[0]}" --help 2>/dev/null | sed -n 's/^  \([a-z, -]*[a-z]\)   *[A-Z].*/\1/p' | tr -s ', ' '\n'
}

_tmctl_options() { # [COMMAND]
        if [ $# = 0 ]; then
                printf '%s\n' --color --system --user --runtime-dir --state-dir --help --version
                return
        fi
        "${words[0]}" "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
        [ "$1" != export ] || echo -o
}

_tmctl_takes_value() { # OPTION [COMMAND]
        [ "$1" = -o ] || "${words[0]}" "${2:-ps}" --help 2>/dev/null | grep -qE -- "^  $1 [A-Z]+( |\$)"
}

_tmctl_pids() {
        _tmctl_ask ps --json | sed -n 's/^[[]*{"pid":\([0-9]*\),.*/\1/p'
}

_tmctl_names() {
        _tmctl_ask ps --json | sed -n 's/.*"uid":[0-9]*,"name":"\([^"]*\)".*/\1/p' | sort -u
}

_tmctl_snapshots() {
        _tmctl_ask list --json | sed -n 's/^[[]*{"id":\([0-9]*\),.*/\1/p; s/^[[]*{"id":[0-9]*,"set":\([0-9]*\),.*/s\1/p' | sort -u
}

_tmctl_units() {
        systemctl list-units --type service --all --plain --no-legend --no-pager 2>/dev/null | sed 's/ .*//'
}

_tmctl_value() { # OPTION: what may follow it
        case $1 in
        --pid) _tmctl_pids ;;
        --name) _tmctl_names ;;
        --unit) _tmctl_units ;;
        --group-by) printf '%s\n' filename lineno traceback function ;;
        --sort) printf '%s\n' size count ;;
        --domain | --exclude-domain) printf '%s\n' python malloc mmap ;;
        --domains) printf '%s\n' python malloc mmap other python,malloc ;;
        --kind) printf '%s\n' request exit peak import ;;
        --color) printf '%s\n' auto always never ;;
        --format) printf '%s\n' tracemalloc json collapsed ;;
        --python) printf '%s\n' 3.8 3.9 ;;
        --since) printf '%s\n' 10m 1h 1d ;;
        esac
}

_tmctl_argument() { # COMMAND ARGUMENTS-BEFORE
        case $1 in
        stats | compare | traces | export)
                _tmctl_snapshots
                printf '%s\n' last last:exit last:peak
                _tmctl_pids | sed 's/^/@/'
                ;;
        show | label | delete)
                _tmctl_snapshots
                printf '%s\n' last last:exit last:peak
                ;;
        unit) if [ "$2" = 0 ]; then printf '%s\n' trace untrace; else _tmctl_units; fi ;;
        '' | help) [ "$2" != 0 ] || _tmctl_commands ;;
        esac
}

# The line up to the cursor, split at blanks alone: readline breaks words at ':' and '@' too, which snapshots have in them
_tmctl_split() { # sets words
        if [ -z "${COMP_LINE-}" ]; then
                words=("${COMP_WORDS[@]:0:COMP_CWORD + 1}")
                return
        fi
        local line=${COMP_LINE:0:COMP_POINT}
        read -ra words <<<"$line"
        [[ $line != *[[:space:]] ]] || words+=('')
}

# Lines of stdin that begin with $cur. Not compgen -W, which would expand what a process calls itself.
_tmctl_keep() {
        local line broken=${cur%"${cur##*[:@=]}"}
        while IFS= read -r line; do
                [[ $line == "$cur"* ]] || continue
                line=$(printf %q "$line")
                COMPREPLY+=("${line#"$broken"}")
        done
}

_tmctl_files() { # COMPGEN-ACTION
        mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# What is behind the command of 'tmctl run' is another program's line.
_tmctl_other_command() { # INDEX
        if declare -F _command_offset >/dev/null; then
                _command_offset "$1"
        elif [ "$1" = $((${#words[@]} - 1)) ]; then
                _tmctl_files -c
        else
                _tmctl_files -f
        fi
}

_tmctl() {
        local cur prev command='' n=0 i
        local -a words=()
        COMPREPLY=()
        _tmctl_split
        cur=${words[-1]} prev=${words[-2]-}
        for ((i = 1; i < ${#words[@]} - 1; i++)); do
                if [[ ${words[i]} == -- && $command == run ]]; then
                        _tmctl_other_command $((i + 1))
                        return
                elif [[ ${words[i]} == -* ]]; then
                        # shellcheck disable=SC2086
                        ! _tmctl_takes_value "${words[i]}" $command || i=$((i + 1))
                elif [ -z "$command" ]; then
                        command=${words[i]}
                elif [ "$command" = run ]; then
                        _tmctl_other_command "$i"
                        return
                else
                        n=$((n + 1))
                fi
        done
        case $prev in
        --runtime-dir | --state-dir) _tmctl_files -d ;;
        -o | --output) _tmctl_files -f ;;
        -*)
                # shellcheck disable=SC2086 # no word where there is no command
                if _tmctl_takes_value "$prev" $command; then _tmctl_keep < <(_tmctl_value "$prev"); else _tmctl_word; fi
                ;;
        *) _tmctl_word ;;
        esac
}

# An option or an argument. $command, $n: as _tmctl() found them
_tmctl_word() {
        if [[ $cur == -* ]]; then
                # shellcheck disable=SC2086
                _tmctl_keep < <(_tmctl_options $command)
        elif [ "$command" = run ]; then
                _tmctl_files -c
        elif [ "$command" = import ]; then
                _tmctl_files -f
        else
                _tmctl_keep < <(_tmctl_argument "$command" "$n")
        fi
}

complete -F _tmctl tmctl
