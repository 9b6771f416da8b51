#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The soak's short form: 75 seconds in which some 200 programs start and die and four daemons are killed. The long one is by
# hand: soak.sh 1200 50
exec "$(dirname "$0")/soak.sh" 75 4
