#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh LIBRARY: the agent must load wherever it is preloaded. So it needs
# libc.so.6 alone, no symbol that musl or an older glibc lacks (but weakly), no version of
# one newer than 2.17, no dynamic TLS, and it shows nothing but its hooks. Entries of these have no frame.
set -eu
library=$1
failed=0
fail() {
        echo "$*"
        failed=1
}

# in musl and in glibc from 2.3.2 on. The locks are those of libgcc's unwinder, from 13 on, for tables that somebody
# registers: there are none in its copy here.
allowed="__assert_fail __environ __errno_location __stack_chk_fail abort clock_gettime dl_iterate_phdr environ memcmp
memcpy memmove memset pthread_cond_broadcast pthread_cond_wait pthread_mutex_lock pthread_mutex_unlock
strchr strcmp strcspn strlen strncmp strnlen strrchr strstr"
allowed=" ${allowed//$'\n'/ } "
for symbol in $(nm -D --undefined-only "$library" | awk '$1 == "U" {sub(/@.*/, "", $2); print $2}'); do
        case $allowed in
        *" $symbol "*) ;;
        *) fail "undefined symbol that another libc may lack: $symbol" ;;
        esac
done

for version in $(readelf -VW "$library" | grep -o 'GLIBC_[0-9.]*' | sort -u); do
        case $version in
        GLIBC_2.2.5 | GLIBC_2.3.2 | GLIBC_2.[34] | GLIBC_2.14 | GLIBC_2.17) ;;
        *) fail "version of a symbol: $version" ;;
        esac
done

needed=$(readelf -dW "$library" | awk '/NEEDED/ {print $NF}')
[ "$needed" = "[libc.so.6]" ] || fail "needs $needed"
readelf -rW "$library" | grep -E 'DTPMOD|TLSDESC' && fail "dynamic TLS: only initial-exec allocates nothing"
readelf -dW "$library" | grep -q TEXTREL && fail "text relocations"

nm -D --defined-only "$library" | awk '{print $3}' | grep -Ev '^(malloc|free|calloc|realloc|reallocarray|posix_memalign|aligned_alloc|memalign|valloc|pvalloc|free_sized|free_aligned_sized|_Zn[wa].*|_Zd[la].*|mmap|mmap64|munmap|mremap|fork|_Fork|forkpty|daemon|clone|execve|execv|execvp|execvpe|fexecve|execl|execlp|execle|_exit|_Exit|quick_exit|dlclose|prctl|syscall|tm_agent_[a-z_]*_1|PyTraceMalloc_(Track|Untrack))$' &&
        fail "these are no hooks"
n=$(nm -D --defined-only "$library" | grep -Ec ' _Z(n[wa]|d[la])')
[ "$n" -eq 20 ] || fail "$n forms of operator new and delete, not 20"

# Entries jump: in one that calls, or saves a register, HOOK_CFA would be another's, and the agent's frame in tracebacks.
for entry in malloc calloc realloc free $(nm -D --defined-only "$library" | awk '$3 ~ /^_Z(n[wa]|d[la])/ {print $3}'); do
        code=$(objdump -d --no-show-raw-insn --disassemble="$entry" "$library")
        grep -qP "\tjmp +\*" <<<"$code" || fail "$entry does not jump to the real function"
        ! grep -P "\t(call|push|sub +\\\$0x[0-9a-f]+,%rsp)" <<<"$code" || fail "$entry has a frame"
done
exit $failed
