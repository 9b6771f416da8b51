/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"
#include "proto/control.pb-c.h"

/* What the options say, as parts of protocol messages. Strings stay those of the options. */

/** request_init() - an empty Request; the caller sets body_case and body */
void request_init(Tracemallocd__Control__Request *request);

/** request_bytes() - a C string as a bytes field; NULL is empty */
ProtobufCBinaryData request_bytes(const char *text);

/** request_selector_init() - from --pid, --name, --unit; pair with request_selector_deinit() */
void request_selector_init(Tracemallocd__Control__ProcessSelector *selector, const struct options *options);
void request_selector_deinit(Tracemallocd__Control__ProcessSelector *selector);

/** request_view_init() - from filters, grouping and limit; pair with request_view_deinit() */
void request_view_init(Tracemallocd__Control__View *view, const struct options *options);
void request_view_deinit(Tracemallocd__Control__View *view);

/** request_view_rows() - for stats and compare: leave wrappers out for people, and where the answer is one frame. JSON
 * is Python's model, and so are traces and files. */
void request_view_rows(Tracemallocd__Control__View *view, const struct options *options);
