/* SPDX-License-Identifier: Apache-2.0 */

/* client/function_name.c: names as c++filt prints them, and what they become. */

#include "client/function_name.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>

static void expect(const char *name, const char *text) {
        char *got = function_name_short(name);
        ck_assert_str_eq(got, text);
        free(got);
}

#define STRING "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"

START_TEST(strings_are_strings)
{
        expect("shop::find(" STRING " const&)", "shop::find(std::string const&)");
        expect("void f<" STRING ">(" STRING "&&, int)", "void f<std::string>(std::string&&, int)");
        expect("f(std::basic_ostream<char, std::char_traits<char> >&)", "f(std::ostream&)");
        expect("f(std::basic_string_view<char, std::char_traits<char> >)", "f(std::string_view)");
        expect("std::__cxx11::to_string(int)", "std::to_string(int)");
}
END_TEST

START_TEST(containers_lose_what_they_have_by_themselves)
{
        expect("f(std::map<" STRING ", std::vector<int, std::allocator<int> >, std::less<" STRING " >, "
               "std::allocator<std::pair<" STRING " const, std::vector<int, std::allocator<int> > > > > const&)",
               "f(std::map<std::string, std::vector<int>> const&)");
        expect("std::unordered_map<int, char, std::hash<int>, std::equal_to<int>, std::allocator<std::pair<int const, "
               "char> > >::operator[](int&&)",
               "std::unordered_map<int, char>::operator[](int&&)");
        expect("std::unique_ptr<A, std::default_delete<A> >::~unique_ptr()", "std::unique_ptr<A>::~unique_ptr()");
        expect("std::__new_allocator<int>::allocate(unsigned long, void const*)",
               "std::__new_allocator<int>::allocate(unsigned long, void const*)");
        expect("g<std::allocator<int> >()", "g<std::allocator<int>>()"); /* all that it has */
        expect("std::priority_queue<int, std::vector<int, std::allocator<int> >, std::greater<int> >::top() const",
               "std::priority_queue<int, std::vector<int>, std::greater<int>>::top() const");
}
END_TEST

START_TEST(brackets_of_other_kinds_are_let_be)
{
        expect("f(std::function<void (int, std::allocator<int>)>)",
               "f(std::function<void (int, std::allocator<int>)>)");
        expect("std::operator<< <char>(A, std::allocator<char>)", "std::operator<< <char>(A, std::allocator<char>)");
        expect("bool operator< (std::A<int, std::less<int> >)", "bool operator< (std::A<int>)");
        expect("auto std::f<int>() -> std::vector<int, std::allocator<int> >",
               "auto std::f<int>() -> std::vector<int>");
        expect("std::A::operator->() const", "std::A::operator->() const");
        expect("std::A::operator()(std::B<(int)2, std::less<int> >)", "std::A::operator()(std::B<(int)2>)");
}
END_TEST

START_TEST(other_names_stay)
{
        static const char *const names[] = {
                "",      "main",      "<lambda>",  "A<B<int> >::f",
                "std::", "std::>>>)", "std::<<((", "<T as std::fmt::Debug>::fmt",
        };
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                expect(names[i], names[i]);
}
END_TEST

static void expect_brief(const char *name, const char *text) {
        char *got = function_name_brief(name);
        ck_assert_str_eq(got, text);
        free(got);
}

START_TEST(arguments_give_way_before_the_name)
{
        expect_brief("shop::Registry::open(std::string const&) const", "shop::Registry::open(...) const");
        expect_brief("std::string* shop::with<shop::render>(int, char)", "shop::with<...>(...)");
        expect_brief("std::map<int, char>::operator[](int&&)", "std::map<...>::operator[](...)");
        expect_brief("(anonymous namespace)::f(int, char)", "(anonymous namespace)::f(...)");
        expect_brief("A::operator new(unsigned long)", "A::operator new(...)");
        expect_brief("A::operator()(int, char) const", "A::operator()(...) const");
        expect_brief("A<(1>2), 3>::f(int, char)", "A<...>::f(...)");
        expect_brief("A<&(B::operator<(int))>::f(int, char)", "A<...>::f(...)");
        expect_brief("A::operator char const*() const", "A::operator char const*() const");
        expect_brief("int shop::operator<< <char>(int, char)", "shop::operator<< <...>(...)");
        expect_brief("a::f<T>(int)", "a::f<T>(int)");
        expect_brief("main", "main");
        expect_brief("<lambda>", "<lambda>");
        expect_brief("<shop::Cart as core::clone::Clone>::clone", "<shop::Cart as core::clone::Clone>::clone");
}
END_TEST

START_TEST(a_name_cut_anywhere_is_a_name)
{
        static const char whole[] =
                "std::map<" STRING ", std::vector<int, std::allocator<int> > >::operator<=>(int) -> A";
        for (size_t length = 0; length < sizeof whole; length++) {
                char *name = strndup(whole, length);
                char *text = function_name_short(name);
                ck_assert_uint_le(strlen(text), length);
                free(text);
                text = function_name_brief(name);
                ck_assert_uint_le(strlen(text), length);
                free(text);
                free(name);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("function_name");
        TCase *tc = check_case("function_name");
        tcase_add_test(tc, strings_are_strings);
        tcase_add_test(tc, containers_lose_what_they_have_by_themselves);
        tcase_add_test(tc, brackets_of_other_kinds_are_let_be);
        tcase_add_test(tc, other_names_stay);
        tcase_add_test(tc, arguments_give_way_before_the_name);
        tcase_add_test(tc, a_name_cut_anywhere_is_a_name);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
