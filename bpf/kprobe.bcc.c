// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-kprobe, BCC dialect: each call of unlink, and its return. */
#include <uapi/linux/ptrace.h>
#include <linux/fs.h>

/* -Drb_max_entries= is its size in bytes; --buffer changes it. */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* Calls in progress: thread -> dfd. */
BPF_HASH(calls, u64, int, 10240);

#include "lib/unlink.bcc.h"	/* is_wanted(), send_entry(), send_return() */
#include "kprobe_calls.bcc.h"	/* remember(), recall(): by calls */

/* A breakpoint at the function's beginning. The context is the CPU's registers:
 * BCC knows which of them hold the arguments that are named after it.
 */
int kprobe__do_unlinkat(struct pt_regs *ctx, int dfd, struct filename *name)
{
	if (!is_wanted())
		return 0;
	remember(dfd);
	return send_entry(dfd, name->name);
}

/* At its return the arguments are gone. One register holds the result. */
int kretprobe__do_unlinkat(struct pt_regs *ctx)
{
	int dfd;

	return recall(&dfd) ? send_return(dfd, PT_REGS_RC(ctx)) : 0;
}
