// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-tailcall, BCC dialect: one hook, and a program for each system call. */
#include "tailcall.h"
#include "lib/filter.bcc.h"
#include "lib/syscall.bcc.h"
#include "tailcall_send.bcc.h"	/* argument(), and send() for the record */

/* -Donly_pid= calls by this process; 0: by all */

BPF_ARRAY(others, u64, 1);	/* calls that no program is for */

/* Functions without one of BCC's macros: nothing attaches these three. */
int on_getpgid(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .process = argument(ctx, 1) };

	return send(ctx, &e);
}

int on_kill(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .process = argument(ctx, 1), .signal = argument(ctx, 2) };

	return send(ctx, &e);
}

int on_umask(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .mask = argument(ctx, 1) & 0777 };

	return send(ctx, &e);
}

/* An array of programs, empty at first: the Python side puts these there. */
BPF_PROG_ARRAY(jump, 512);	/* more than there are system calls */

RAW_TRACEPOINT_PROBE(sys_enter)
{
	int zero = 0;

	if (!pid_matches(only_pid))
		return 0;
	if (!is_32bit((struct pt_regs *)ctx->args[0]))
		jump.call(ctx, ctx->args[1]);
	/* A jump does not come back. We get here if no program is at that index. */
	others.atomic_increment(zero);
	return 0;
}
