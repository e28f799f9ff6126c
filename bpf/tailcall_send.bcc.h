/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Arguments of a system call, and the record for it; BCC dialect: a part of
 * tailcall.bcc.c.
 */

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

/* The tracepoint has two arguments: the caller's registers, and the number of
 * the system call. Its arguments are in the registers; n is 1 or 2.
 */
static __always_inline u64 argument(struct bpf_raw_tracepoint_args *ctx, int n)
{
	struct pt_regs regs = {};

	bpf_probe_read_kernel(&regs, sizeof(regs), (void *)ctx->args[0]);
	return n == 1 ? PT_REGS_PARM1_SYSCALL(&regs) : PT_REGS_PARM2_SYSCALL(&regs);
}

static __always_inline int send(struct bpf_raw_tracepoint_args *ctx, struct event *e)
{
	int zero = 0;

	e->time_ns = bpf_ktime_get_ns();
	e->number = ctx->args[1];
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	if (rb.ringbuf_output(e, sizeof(*e), 0))
		lost.atomic_increment(zero);
	return 0;
}
