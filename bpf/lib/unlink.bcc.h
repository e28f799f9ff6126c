/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records of ebpf-kprobe and ebpf-fentry; BCC dialect: a part of kprobe.bcc.c
 * and fentry.bcc.c. The Python side passes a number to the compiler:
 *
 *	-Donly_pid=	calls of this process; 0: of all
 */
#include "filter.bcc.h"
#include "unlink.h"

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full, and missed calls */

static __always_inline bool is_wanted(void)
{
	return pid_matches(only_pid);
}

static __always_inline void count_lost(void)
{
	int zero = 0;

	lost.atomic_increment(zero);
}

/* What both kinds of records have. */
static __always_inline void fill(struct event *e, int dfd)
{
	e->time_ns = bpf_ktime_get_ns();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->dfd = dfd;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
}

/* A path has up to 4095 bytes, and a program's stack only 512. So it is copied
 * straight into the ring buffer.
 */
static __always_inline int send_entry(int dfd, const char *path)
{
	struct event *e = rb.ringbuf_reserve(sizeof(struct event));

	if (!e) {
		count_lost();
		return 0;
	}
	fill(e, dfd);
	e->kind = EVENT_ENTRY;
	e->ret = 0;
	/* "" if the path could not be read, even by the kernel. */
	bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	rb.ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int send_return(int dfd, int ret)
{
	struct event *e = rb.ringbuf_reserve(sizeof(struct event) - PATH_LEN);

	if (!e) {
		count_lost();
		return 0;
	}
	fill(e, dfd);
	e->kind = EVENT_RETURN;
	e->ret = ret;
	rb.ringbuf_submit(e, 0);
	return 0;
}
