/* SPDX-License-Identifier: Apache-2.0 */

/* See brackets.h. Called where names are shortened for people, and where wrappers are known by them. */

#include "daemon/base/brackets.h"

#include <string.h>

size_t brackets_length(const char *text, size_t length) {
        size_t pointed = 0, others = 0;
        for (size_t i = 0; i < length; i++) {
                char c = text[i];
                if (c == '(' || c == '[' || c == '{')
                        others++;
                else if ((c == ')' || c == ']' || c == '}') && others > 0)
                        others--;
                else if (c == '<' && others == 0)
                        pointed++;
                else if (c == '>' && others == 0 && pointed > 0 && text[i - 1] != '-')
                        pointed--;
                if (pointed + others == 0)
                        return i + 1;
        }
        return length;
}
