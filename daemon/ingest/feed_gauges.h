/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct feed;

/** feed_gauges_update() - publish what `ps` shows; worker's thread */
void feed_gauges_update(struct feed *feed);
