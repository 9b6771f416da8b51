#compdef tmctl
# SPDX-License-Identifier: Apache-2.0
#
# Completion of tmctl for zsh: commands, options, pids, snapshots, units. The
# options are those of 'tmctl COMMAND --help', so that no list has to be kept here.

# without starting a daemon and without complaints
_tmctl_ask() {
        TMCTL_NO_START=1 tmctl "$@" 2>/dev/null
}

_tmctl_commands() {
        local -a commands
        commands=(${(f)"$(tmctl --help 2>/dev/null | sed -n 's/^  \([a-z, -]*[a-z]\)   *[A-Z].*/\1/p' | tr -s ', ' '\n')"})
        compadd -a commands
}

_tmctl_pids() {
        local -a pids
        pids=(${(f)"$(_tmctl_ask ps --json | sed -n 's/^[[]*{"pid":\([0-9]*\),.*"uid":[0-9]*,"name":"\([^"]*\)".*/\1:\2/p')"})
        _describe -V 'traced process' pids
}

_tmctl_live() {
        local -a tables
        tables=(${(f)"$(_tmctl_ask ps --json | sed -n 's/^[[]*{"pid":\([0-9]*\),.*/@\1/p')"})
        compadd -a tables
}

_tmctl_names() {
        local -a names
        names=(${(fu)"$(_tmctl_ask ps --json | sed -n 's/.*"uid":[0-9]*,"name":"\([^"]*\)".*/\1/p')"})
        compadd -a names
}

_tmctl_snapshots() {
        local -a ids
        ids=(${(fu)"$(_tmctl_ask list --json | sed -n 's/^[[]*{"id":\([0-9]*\),.*/\1/p; s/^[[]*{"id":[0-9]*,"set":\([0-9]*\),.*/s\1/p')"})
        compadd -a ids
        compadd last last:exit last:peak
}

_tmctl_units() {
        local -a units
        units=(${(f)"$(systemctl list-units --type service --all --plain --no-legend --no-pager 2>/dev/null | sed 's/ .*//')"})
        compadd -a units
}

_tmctl_value() { # OPTION
        case $1 in
        --pid) _tmctl_pids ;;
        --name) _tmctl_names ;;
        --unit) _tmctl_units ;;
        --group-by) compadd filename lineno traceback function ;;
        --sort) compadd size count ;;
        --domain|--exclude-domain) compadd python malloc mmap ;;
        --domains) compadd python malloc mmap other python,malloc ;;
        --kind) compadd request exit peak import ;;
        --color) compadd auto always never ;;
        --format) compadd tracemalloc json collapsed ;;
        --python) compadd 3.8 3.9 ;;
        --since) compadd 10m 1h 1d ;;
        --runtime-dir|--state-dir) _files -/ ;;
        --output|-o) _files ;;
        esac
}

_tmctl_argument() { # COMMAND ARGUMENTS-BEFORE
        case $1 in
        stats|compare|traces|export) _tmctl_snapshots; _tmctl_live; _files ;;
        show|label|delete) _tmctl_snapshots ;;
        unit) if (( $2 == 0 )); then compadd trace untrace; else _tmctl_units; fi ;;
        import) _files ;;
        help) (( $2 > 0 )) || _tmctl_commands ;;
        esac
}

_tmctl() {
        local help command='' previous=${words[CURRENT-1]} word
        local -i i n=0
        local -a options
        for ((i = 2; i < CURRENT; i++)); do
                word=${words[i]}
                if [[ $word == -* ]]; then
                        [[ -n $command && $word != -- && "$(tmctl $command --help 2>/dev/null)" == *$'\n'"  $word "[A-Z]* ]] && ((i++))
                elif [[ -z $command ]]; then
                        command=$word
                else
                        ((n++))
                fi
                if [[ $command == run && ( $word == -- || $n -gt 0 ) ]]; then
                        shift $((i - 1 - (n > 0))) words
                        ((CURRENT -= i - 1 - (n > 0)))
                        words[1]=-
                        _normal
                        return
                fi
        done
        help=$(tmctl $command --help 2>/dev/null)
        if [[ $previous == -* && ( $previous == -o || $help == *$'\n'"  $previous "[A-Z]* ) ]]; then
                _tmctl_value $previous
        elif [[ $PREFIX == -* ]]; then
                options=(${(f)"$(sed -n 's/^  \(--[a-z-]*\)[ A-Z]*\( .*\)$/\1:\2/p' <<<$help | sed 's/: */:/')"})
                [[ $command == export ]] && options+=('-o:where to write')
                _describe -o 'option' options
        elif [[ -z $command ]]; then
                _tmctl_commands
        elif [[ $command == run ]]; then
                _command_names -e
        else
                _tmctl_argument $command $n
        fi
}

_tmctl "$@"
