// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-usdt, BCC dialect: a place that a program's author marked for tracers. */
#include <uapi/linux/ptrace.h>
#include "usdt.h"
#include "lib/filter.bcc.h"
#include "lib/usdt.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	this process, 0: all of them
 *	-Dpidns_dev=	its PID namespace
 *	-Dpidns_ino=
 *	-Drb_max_entries=	the size of rb in bytes; --buffer changes it
 */

BPF_ARRAY(lost, u64, 1);	/* events that found rb full */
BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

int handle_probe(struct pt_regs *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };
	int zero = 0;

	if (only_pid && !is_process_of(pidns_dev, pidns_ino, only_pid))
		return 0;
	/* The argument may be in a register or in memory: a note in the program's file
	 * says where, and a function reads it from there: lib/usdt.bcc.h.
	 */
	bpf_usdt_readarg(1, ctx, &e.value);
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e.text_bytes = bpf_probe_read_user_str(&e.text, sizeof(e.text), (void *)e.value);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;
}
