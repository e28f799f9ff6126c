// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-uprobe, BCC dialect: a function of a program, as it is called and returns. */
#include <uapi/linux/ptrace.h>
#include "uprobe.h"
#include "lib/filter.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	this process, 0: all of them
 *	-Dpidns_dev=	its PID namespace
 *	-Dpidns_ino=
 *	-Drb_max_entries=	the size of rb in bytes; --buffer changes it
 */

BPF_ARRAY(lost, u64, 1);	/* events that found rb full */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

static __always_inline int send(long value, bool returned)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .value = value, .returned = returned };
	int zero = 0;

	if (only_pid && !is_process_of(pidns_dev, pidns_ino, only_pid))
		return 0;
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e.text_bytes = bpf_probe_read_user_str(&e.text, sizeof(e.text), (void *)value);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;
}

int handle_entry(struct pt_regs *ctx, long argument)	/* at the first instruction */
{
	return send(argument, false);
}

int handle_return(struct pt_regs *ctx)	/* where it returns to */
{
	return send(PT_REGS_RC(ctx), true);
}
