/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records of ebpf-uprobe and ebpf-usdt; BCC dialect: a part of uprobe.bcc.c and
 * usdt.bcc.c. The Python side passes these to the compiler as numbers:
 *
 *	-Donly_pid=	this process, 0: all of them
 *	-Dpidns_dev=	its PID namespace
 *	-Dpidns_ino=
 */
#include "filter.bcc.h"
#include "probed.h"

BPF_ARRAY(lost, u64, 1);	/* events that found the buffer full */

static __always_inline bool is_wanted(void)
{
	return !only_pid || is_process_of(pidns_dev, pidns_ino, only_pid);
}

/* The record is not on the program's stack, since a thread may be preempted in a uprobe's
 * program, and the next one runs it, too. They share their stack if it has 64 bytes or
 * more: it is one for each CPU since commit 7d1cd70d4b16 ("bpf, x86: Support private
 * stack in jit") (in v6.13).
 */
static __always_inline int send(long value, bool returned)
{
	struct event *e = rb.ringbuf_reserve(sizeof(struct event));
	int zero = 0;

	if (!e) {
		lost.atomic_increment(zero);
		return 0;
	}
	e->time_ns = bpf_ktime_get_ns();
	e->value = value;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->returned = returned;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e->text_bytes = bpf_probe_read_user_str(&e->text, sizeof(e->text), (void *)value);
	rb.ringbuf_submit(e, 0);
	return 0;
}
