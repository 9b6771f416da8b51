# SPDX-License-Identifier: Apache-2.0
# Lines of text into a C string literal. A file, because Meson turns backslashes in commands into slashes.
s/[\\"]/\\&/g
s/.*/"&\\n"/
