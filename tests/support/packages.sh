# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the lists are for those who source this
#
# What Debian 12 must have for building and for testing, and how to get it.
# Sourced by quickstart and tests/run.

build_packages=(
        gcc libc6-dev meson ninja-build pkg-config
        libuv1-dev libprotobuf-c-dev protobuf-c-compiler libsqlite3-dev libdw-dev libelf-dev libiberty-dev
        libsystemd-dev libjson-c-dev libinih-dev
)

demo_packages=(redis-server redis-tools)

test_packages=(
        "${build_packages[@]}"
        # unit tests, sanitizers, fuzz targets
        check g++ clang libclang-rt-14-dev libasan8 libubsan1 libtsan2 valgrind
        # lint
        clang-format cppcheck mandoc shellcheck
        # a real systemd, and what boots it
        systemd util-linux mount procps
        # judges: what else counts allocations and resolves addresses
        heaptrack zstd binutils llvm libc6-dbg libunwind-dev
        # an agent in another language
        protobuf-compiler python3-protobuf
        # the judge of snapshots
        libpython3.11-testsuite
        # completions
        zsh
        # programs that are traced, and those that cannot be
        "${demo_packages[@]}" nginx sqlite3 git perl python3 libpython3.11 busybox-static musl-tools cppcheck stress-ng
        # what they are built with, and allocators that they may have (jemalloc comes with redis-tools)
        libpython3.11-dev libtcmalloc-minimal4
        # stacks that are exchanged below the interpreter
        python3-greenlet
)

missing_packages() { # PACKAGE...: prints those that are not installed
        local package state
        for package in "$@"; do
                state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
                [ "$state" = installed ] || echo "$package"
        done | sort -u
}

# What is wanted are programs, not servers that start by themselves: invoke-rc.d asks this file. nginx's installation
# even fails where its server cannot start (port 80 in use, no IPv6).
apt_install() ( # PACKAGE...
        readonly policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
                trap 'rm -f $policy' EXIT
                trap 'exit 130' INT
                trap 'exit 143' TERM
                printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
)

install_packages() { # PACKAGE...: installs what is missing; needs root only if something is
        local missing
        mapfile -t missing < <(missing_packages "$@")
        [ ${#missing[@]} -gt 0 ] || return 0
        if ! command -v apt-get >/dev/null; then
                echo "These packages are missing, and there is no apt-get: ${missing[*]}" >&2
                return 1
        fi
        if [ "$(id -u)" != 0 ]; then
                echo "These packages are missing. As root: apt-get install ${missing[*]}" >&2
                return 1
        fi
        apt-get update && apt_install "${missing[@]}"
}
