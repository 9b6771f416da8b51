/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names as people read them: demangled functions, normal paths. Hostile input; no I/O. */

/** name_demangle() - the C++ or Rust name behind a linkage name
 * "_ZN3foo3barEi" gives "foo::bar(int)", as addr2line -C; the hash of a legacy Rust name and the crate ids of a v0
 * name are left out; a symbol version ("@GLIBC_2.2.5", "@@...") is not looked at.
 * Return: heap; NULL where it is no mangled name (or one longer than anybody reads). */
char *name_demangle(const char *linkage_name);

/** name_of_symbol() - what to show for an ELF symbol: demangled where it is mangled, without its version
 * Return: heap, never NULL. */
char *name_of_symbol(const char *symbol);

/** name_normal_path() - a path without "//", "/./" and "x/../", as its text says (no look at links)
 * So that two units which write the same file differently mean the same file.
 * @folder: what a relative path is relative to; NULL: it stays as it is
 * Return: heap, never NULL. */
char *name_normal_path(const char *folder, const char *path);
