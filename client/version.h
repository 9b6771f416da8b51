/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* TMCTL_VERSION, and where Meson installs the daemon: both come from client/meson.build. */

#ifndef TMCTL_VERSION
#error "TMCTL_VERSION is defined by client/meson.build"
#endif
