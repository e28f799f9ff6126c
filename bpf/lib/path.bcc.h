/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The tail of an event, BCC dialect: a path at its end, which is sent only up
 * to its length.
 */
#pragma once

/* Set the length of the path; return the size of the event up to its end. size is
 * what bpf_probe_read_*_str() returned: the number of bytes with the NUL, or a
 * negative errno.
 */
static __always_inline u64 set_path_length(struct event *event, long size)
{
	u64 without_path = sizeof(*event) - sizeof(event->path);

	event->path_length = size > 0 ? size - 1 : size;
	if (size <= 0)
		return without_path;
	/* & changes nothing: it shows the verifier the bounds. */
	return without_path + ((size - 1) & (PATH_LEN - 1));
}
