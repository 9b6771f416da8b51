/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/** function_name_short() - a demangled C++ name as its author would write it
 * std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > is std::string; arguments that
 * templates of the standard library have by themselves (allocators, std::less, std::hash and the like) are left out. A
 * name without std:: stays as it is. For eyes alone: two types may become the same.
 * @name: any text. O(length). Return: NUL-terminated, the caller frees. */
char *function_name_short(const char *name);

/** function_name_brief() - the same for where there is little room: without the result, arguments as "..."
 * shop::Registry::open(std::string const&) is shop::Registry::open(...). Names that are not C++'s stay.
 * O(length). Return: NUL-terminated, not longer than @name, the caller frees. */
char *function_name_brief(const char *name);
