/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/brackets.h"
#include "tests/support/check_main.h"

#include <string.h>

static void ck_length(const char *text, size_t expected) {
        ck_assert_msg(brackets_length(text, strlen(text)) == expected, "%s: %zu, expected %zu", text,
                      brackets_length(text, strlen(text)), expected);
}

START_TEST(a_bracket_ends_with_the_one_that_closes_it)
{
        ck_length("()", strlen("()"));
        ck_length("(int) const", strlen("(int)"));
        ck_length("[abi:cxx11](int)", strlen("[abi:cxx11]"));
        ck_length("{lambda(int)#1}::operator()", strlen("{lambda(int)#1}"));
        ck_length("<int>::f<char>()", strlen("<int>"));
}
END_TEST

START_TEST(brackets_nest)
{
        ck_length("((a)(b))(c)", strlen("((a)(b))"));
        ck_length("<std::vector<int, std::less<int>>>::f", strlen("<std::vector<int, std::less<int>>>"));
        ck_length("<f(int [3])>::g", strlen("<f(int [3])>"));
}
END_TEST

START_TEST(between_others_pointed_ones_compare)
{
        ck_length("<(a>b)>::f", strlen("<(a>b)>"));
        ck_length("<(1<2)>::f", strlen("<(1<2)>"));
        ck_length("(operator<)(int)", strlen("(operator<)"));
}
END_TEST

START_TEST(an_arrow_closes_nothing)
{ ck_length("<fn(i32)->i64>::call", strlen("<fn(i32)->i64>")); }
END_TEST

/* So that a name with an odd one among them is not misread to its end. */
START_TEST(round_square_and_curly_ones_close_each_other)
{ ck_length("(a]b", strlen("(a]")); }
END_TEST

START_TEST(what_nothing_closes_goes_to_the_end)
{
        ck_length("(", 1);
        ck_length("<a<b>", strlen("<a<b>"));
        ck_assert_uint_eq(brackets_length("(a)", 2), 2);
}
END_TEST

CHECK_MAIN("brackets", a_bracket_ends_with_the_one_that_closes_it, brackets_nest, between_others_pointed_ones_compare,
           an_arrow_closes_nothing, round_square_and_curly_ones_close_each_other, what_nothing_closes_goes_to_the_end)
