/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records of ebpf-uprobe and ebpf-usdt; libbpf dialect: a part of uprobe.bpf.c and
 * usdt.bpf.c.
 */
#include "filter.bpf.h"
#include "probed.h"

const volatile int only_pid;			/* this process, 0: all of them */
const volatile __u64 pidns_dev, pidns_ino;	/* its PID namespace */

__u64 lost;	/* events that found the buffer full */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

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
	struct event *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	e->time_ns = bpf_ktime_get_ns();
	e->value = value;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->returned = returned;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	/* Is it the address of text? The helper fails if there is no memory there. */
	e->text_bytes = bpf_probe_read_user_str(&e->text, sizeof(e->text), (void *)value);
	bpf_ringbuf_submit(e, 0);
	return 0;
}
