/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/** crash_watch() - have what the daemon is busy with marked when a signal of its own doing ends it, for the next
 * daemon, which cannot know otherwise that it was no SIGKILL from outside. The end itself stays what it is.
 * Main loop, once, before other threads. */
void crash_watch(void);
