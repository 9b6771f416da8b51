#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the shells offer for tmctl: every command and option, and what there is
# at the moment of pids, names, snapshots and units.
. "$(dirname "$0")/../support/test.sh"

PATH=$build_dir/client:$PATH
completions=$source_dir/client/completions

# As readline would: offers LINE prints what completes its last word
offers() {
        (
                unset -f tmctl
                # shellcheck source=client/completions/tmctl.bash
                . "$completions/tmctl.bash"
                # shellcheck disable=SC2034 # _tmctl reads them
                COMP_LINE=$1 COMP_POINT=${#1}
                _tmctl
                printf '%s\n' "${COMPREPLY[@]}"
        )
}

claim_offers() { # LINE WORD...
        local word list
        list=$(offers "$1")
        for word in "${@:2}"; do
                if grep -qxF -- "$word" <<<"$list"; then pass "'$1' offers $word"; else fail "'$1' offers $word" "$list"; fi
        done
}

claim_offers_not() { # LINE WORD
        if offers "$1" | grep -qxF -- "$2"; then fail "'$1' does not offer $2"; else pass "'$1' does not offer $2"; fi
}

help_options() { # COMMAND
        tmctl "$1" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort
}

options_agree() {
        local command
        for command in $(offers 'tmctl '); do
                claim_equal "the options of $command are those of its --help" "$(help_options "$command")" \
                        "$(offers "tmctl $command --" | sort)"
        done
}

words() {
        claim_offers 'tmctl ' run compare reset-peak unit block
        claim_offers_not 'tmctl co' run
        claim_offers 'tmctl --' --system --version
        claim_offers 'tmctl --user co' compare
        claim_offers 'tmctl unit ' trace untrace
        claim_offers 'tmctl stats 1 --group-by ' filename lineno traceback function
        claim_offers 'tmctl compare 1 2 --group-by f' filename function
        claim_offers 'tmctl list --kind ' request exit peak import
        claim_offers 'tmctl stats 1 --domain ' python malloc mmap
        claim_offers 'tmctl stats last:' exit peak
        claim_offers 'tmctl export last --python ' 3.8 3.9
        claim_offers 'tmctl export last --' --format --output
        claim_offers 'tmctl help comp' compare
        claim_offers 'tmctl run --label x -- expr' expr
        claim_offers 'tmctl run expr' expr
        claim_offers 'tmctl import /etc/pass' /etc/passwd
}

nothing_is_started() {
        offers 'tmctl stats ' >/dev/null
        offers 'tmctl snapshot --pid ' >/dev/null
        claim_status "completing starts no daemon" 4 env TMCTL_NO_START=1 "${programs[0]}" ps
}

things() {
        local id pid
        printf 'import time\nprint(flush=True)\ntime.sleep(1000)\n' >"$scratch/waits.py"
        tmctl run -- /usr/bin/python3 "$scratch/waits.py" >"$scratch/ready" 2>"$scratch/run.log" &
        background+=($!)
        wait_until 60 test -s "$scratch/ready" || give_up "a program runs" "$(cat "$scratch/run.log")"
        pid=$(tmctl ps --json | sed -n 's/^[[]*{"pid":\([0-9]*\),.*/\1/p')
        # shellcheck disable=SC2016 # a label that no shell may expand
        id=$(tmctl snapshot --pid "$pid" --label '$(touch gone)')
        claim_offers 'tmctl snapshot --pid ' "$pid"
        claim_offers 'tmctl snapshot --name ' python3
        claim_offers 'tmctl compare ' "$id" "@$pid" last
        claim_offers 'tmctl stats @' "$pid"
        claim_offers 'tmctl delete ' "$id"
        claim_offers_not 'tmctl delete ' "@$pid"
        kill "$pid"
}

# The function alone, with what zsh's completion system offers it replaced by print: zsh_offers WORD...
zsh_offers() {
        # shellcheck disable=SC2016 # zsh expands it
        zsh -f -c '
                compadd() { [[ $1 == -a ]] && print -l -- ${(P)2} || print -l -- "$@" }
                _describe() { print -l -- ${(P)@[-1]} }
                _files() { print files }
                _normal() { print -- normal $words[CURRENT] }
                _command_names() { print commands }
                file=$1; shift
                words=("$@") CURRENT=$# PREFIX=$@[-1]
                source $file' zsh "$completions/tmctl.zsh" "$@"
}

zsh_works() {
        if ! command -v zsh >/dev/null; then
                echo "no zsh here"
                return
        fi
        claim "zsh reads it" zsh -n "$completions/tmctl.zsh"
        claim_match "zsh offers commands" '^reset-peak$' "$(zsh_offers tmctl '')"
        claim_match "to tmctl help too" '^reset-peak$' "$(zsh_offers tmctl help '')"
        claim_match "zsh offers options, with what they mean" '^--limit:rows' "$(zsh_offers tmctl stats --)"
        claim_match "zsh offers values" '^traceback$' "$(zsh_offers tmctl stats 1 --group-by '')"
        claim_match "zsh offers snapshots" '^last:peak$' "$(zsh_offers tmctl compare last '')"
        claim_match "zsh offers verbs" '^untrace$' "$(zsh_offers tmctl unit '')"
        claim_match "zsh leaves another command's line alone" '^normal' "$(zsh_offers tmctl run -- ls '')"
        local command
        for command in stats run unit list export; do
                claim_equal "zsh's options of $command are those of its --help" "$(help_options $command)" \
                        "$(zsh_offers tmctl $command -- | sed -n 's/^\(--[a-z-]*\):.*/\1/p' | sort)"
        done
}

words
options_agree
nothing_is_started
daemon_start
things
zsh_works
