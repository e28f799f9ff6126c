/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Arguments of a system call, and the record for it; libbpf dialect: a part of
 * tailcall.bpf.c.
 */
#include <bpf/bpf_tracing.h>

/* The numbers of the three system calls: each architecture has its own. */
#if defined(__TARGET_ARCH_arm64)
enum { NR_KILL = 129, NR_GETPGID = 155, NR_UMASK = 166 };
#else
enum { NR_KILL = 62, NR_GETPGID = 121, NR_UMASK = 95 };
#endif

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

__u64 lost;	/* records that found the buffer full */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

/* The tracepoint has two arguments: the caller's registers, and the number of
 * the system call. Its arguments are in the registers; n is 1 or 2.
 */
static __always_inline __u64 argument(struct bpf_raw_tracepoint_args *ctx, int n)
{
	struct pt_regs *regs = (void *)ctx->args[0];

	return n == 1 ? PT_REGS_PARM1_CORE_SYSCALL(regs) : PT_REGS_PARM2_CORE_SYSCALL(regs);
}

static __always_inline int send(struct bpf_raw_tracepoint_args *ctx, struct event *e)
{
	e->time_ns = bpf_ktime_get_ns();
	e->number = ctx->args[1];
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	if (bpf_ringbuf_output(&rb, e, sizeof(*e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
