// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-tailcall, libbpf dialect: one hook, and a program for each system call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "tailcall.h"
#include "lib/filter.bpf.h"
#include "lib/syscall.bpf.h"
#include "tailcall_send.bpf.h"	/* argument(), and send() for the record */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __s32 only_pid;	/* calls by this process; 0: by all */

__u64 others;	/* calls that no program is for */

/* A SEC() without an event: nothing attaches these three. */
SEC("raw_tp")
int on_getpgid(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .process = argument(ctx, 1) };

	return send(ctx, &e);
}

SEC("raw_tp")
int on_kill(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .process = argument(ctx, 1), .signal = argument(ctx, 2) };

	return send(ctx, &e);
}

SEC("raw_tp")
int on_umask(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = { .mask = argument(ctx, 1) & 0777 };

	return send(ctx, &e);
}

/* An array of programs. libbpf loads these and puts them there. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 512);	/* more than there are system calls */
	__uint(key_size, sizeof(__u32));
	__array(values, int (struct bpf_raw_tracepoint_args *ctx));
} jump SEC(".maps") = {
	.values = {
		[NR_GETPGID] = (void *)&on_getpgid,
		[NR_KILL] = (void *)&on_kill,
		[NR_UMASK] = (void *)&on_umask,
	},
};

SEC("raw_tp/sys_enter")
int handle_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	if (!pid_matches(only_pid))
		return 0;
	if (!is_32bit((struct pt_regs *)ctx->args[0]))
		bpf_tail_call(ctx, &jump, ctx->args[1]);
	/* A jump does not come back. We get here if no program is at that index. */
	__sync_fetch_and_add(&others, 1);
	return 0;
}
