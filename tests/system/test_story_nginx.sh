#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# "My nginx grows": Debian's service, Type=forking, a master that made itself a
# daemon and its workers, which count as one. Connections that are opened and kept
# are what grows. Three commands; and untrace leaves nothing behind.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

json() { # EXPRESSION of d: reads JSON from stdin
        python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

files_of_systemd() {
        find /etc/systemd/system /run/systemd/system | sort
}

agents_mapped() { # by nginx
        local pid n=0
        for pid in $(pgrep -x nginx); do
                ! grep -q libtracemalloc-agent "/proc/$pid/maps" || n=$((n + 1))
        done
        echo "$n"
}

configure() { # as Debian has it, but for what depends on the machine: its CPUs and IPv6
        sed -i 's/^worker_processes .*/worker_processes 3;/' /etc/nginx/nginx.conf
        rm -f /etc/nginx/sites-enabled/* /etc/nginx/modules-enabled/*
        cat >/etc/nginx/conf.d/test.conf <<'END'
server {
        listen 127.0.0.1:8080;
        keepalive_timeout 600;
        location / { return 200 "hello\n"; }
}
END
}

# Asks once on each of as many connections and keeps these open.
write_client() {
        cat >"$scratch/client.py" <<'END'
import http.client
import sys

kept = []
for line in sys.stdin:
    for _ in range(int(line)):
        connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=120)
        connection.request("GET", "/")
        connection.getresponse().read()
        kept.append(connection)
    print(len(kept), flush=True)
END
}

connect() { # NUMBER
        echo "$1" >&"${client[1]}"
        read -r -t 120 _ <&"${client[0]}" || give_up "nginx answers" "$(journalctl -q -u nginx -n 20 --no-pager)"
}

# Each has the arrays of its connections, which its master lacks.
workers_are_ready() {
        local sizes
        sizes=$(tmctl ps --unit nginx --json) &&
                [ "$(json 'len(d) == 4 and sorted(p["live_size"] for p in d)[1] - min(p["live_size"] for p in d) > 200000' <<<"$sizes")" = True ]
}

story() {
        local before first second rows
        systemctl start nginx || give_up "Debian's nginx starts as a service" "$(journalctl -q -u nginx -n 20 --no-pager)"
        before=$(files_of_systemd)
        claim "one command traces it" tmctl unit trace nginx --restart
        wait_until 60 workers_are_ready || give_up "the workers start" "$(tmctl ps)"
        coproc client { exec python3 "$scratch/client.py"; }
        background+=("$!")
        connect 200
        first=$(tmctl snapshot --unit nginx)
        claim_match "a snapshot of master and workers is a set" '^s[0-9]+$' "$first"
        connect 300
        second=$(tmctl snapshot --unit nginx)
        rows=$(tmctl compare "$first" "$second")
        echo "$rows"
        claim_match "the first row of compare is nginx's own, and it grew" \
                '^/usr/sbin/nginx \(.*\): size=.* \(\+[0-9.]+ [KM]iB\)' "$(sed -n 4p <<<"$rows")"
        rows=$(tmctl compare "$first" "$second" --skip-function '*alloc*' --skip-function '*memalign*' --skip-function '*palloc*' --json)
        claim_equal "behind its wrappers, what makes a pool for each connection" ngx_create_pool \
                "$(json 'd["statistics"][0]["traceback"][0]["function"]' <<<"$rows")"
        claim_equal "of which there are 300 or more new ones" True \
                "$(json 'd["statistics"][0]["count_diff"] >= 300' <<<"$rows")"
        claim_equal "it is exact, in the workers too, which were forked by a process that had not allocated" True \
                "$(json 'd["exact"]' <<<"$rows")"
        claim_equal "master and three workers are traced" 4 "$(tmctl ps --unit nginx --json | json 'len(d)')"
        claim_equal "all of them exact" True "$(tmctl ps --unit nginx --json | json 'all(p["exact"] for p in d)')"
        claim "untrace" tmctl unit untrace nginx --restart
        claim_equal "untrace leaves no file behind" "$before" "$(files_of_systemd)"
        claim "and the service runs" systemctl --quiet is-active nginx
        claim_equal "without the agent" 0 "$(agents_mapped)"
        claim_equal "or a word of it in its environment" '' "$(systemctl show -p Environment --value nginx)"
}

install_system
configure
write_client
systemctl start tracemallocd || give_up "the service starts"
story
