#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# soak.sh [SECONDS [KILLS [SEED]]]: tests/support/soak.py, three minutes and eight kills of the daemon unless it is told otherwise; the
# long form is 1200 50.
# Not called test_*: tests/run leaves it out.
. "$(dirname "$0")/../support/test.sh"
enter_systemd "$0" "$@"

install_system
mkdir -p /etc/tracemallocd
printf '[agent]\nstall_limit_ms = 20000\n[snapshots]\nexit_min_age = 0\nkeep_exit_count = 100000\n' >/etc/tracemallocd/tracemallocd.conf
systemctl start tracemallocd || give_up "the service starts"
"$source_dir/tests/support/soak.py" "${1:-180}" "${2:-8}" ${3:+"$3"} || n_failed=1
