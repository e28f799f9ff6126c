// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a write to the context. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp/syscalls/sys_enter_mkdirat")
int take_mode(struct trace_event_raw_sys_enter *ctx)
{
	/* Broken: the context is a copy of the call's arguments, for reading.
	 * A tracing program watches and cannot change what it sees.
	 */
	ctx->args[2] = 0700;
	return 0;
}
