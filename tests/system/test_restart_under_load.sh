#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# systemctl restart, SIGKILL and the watchdog under full load: tests/support/restart.py holds the tables against what programs say that
# they hold.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

install_system
mkdir -p /etc/tracemallocd
# longer than a dead daemon takes to be noticed and started again on a slow machine
printf '[agent]\nstall_limit_ms = 20000\n[snapshots]\nexit_min_age = 0\n' >/etc/tracemallocd/tracemallocd.conf
gcc -O1 -pthread -o "$scratch/load" "$source_dir/tests/support/load.c" || give_up "the program compiles"
gcc -o "$scratch/departs" "$source_dir/tests/support/departs.c" || give_up "the program that departs compiles"
gcc -o "$scratch/forks_silently" "$source_dir/tests/support/forks_silently.c" || give_up "the program that forks compiles"
systemctl start tracemallocd || give_up "the service starts"
"$source_dir/tests/support/restart.py" "$scratch/load" "$scratch/departs" "$scratch/forks_silently" || n_failed=1
