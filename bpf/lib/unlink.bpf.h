/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The records of ebpf-kprobe and ebpf-fentry; libbpf dialect: a part of kprobe.bpf.c
 * and fentry.bpf.c.
 */
#include "filter.bpf.h"
#include "unlink.h"

const volatile __s32 only_pid;	/* calls of this process; 0: of all */

__u64 lost;	/* records that found the buffer full, and missed calls */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline bool is_wanted(void)
{
	return pid_matches(only_pid);
}

/* Reserve space for a record in the ring buffer, and fill in what both kinds have. */
static __always_inline struct event *reserve(__u64 size, int dfd)
{
	struct event *e = bpf_ringbuf_reserve(&rb, size, 0);

	if (!e) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	e->time_ns = bpf_ktime_get_ns();
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->dfd = dfd;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	return e;
}

/* A path has up to 4095 bytes, and a program's stack only 512. So it is copied
 * straight into the ring buffer.
 */
static __always_inline int send_entry(int dfd, const char *path)
{
	struct event *e = reserve(sizeof(*e), dfd);

	if (!e)
		return 0;
	e->kind = EVENT_ENTRY;
	e->ret = 0;
	/* "" if the path could not be read, even by the kernel. */
	bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int send_return(int dfd, int ret)
{
	struct event *e = reserve(sizeof(*e) - sizeof(e->path), dfd);

	if (!e)
		return 0;
	e->kind = EVENT_RETURN;
	e->ret = ret;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
