/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A record for each call; libbpf dialect: a part of ksyscall.bpf.c. */

const volatile __s32 only_pid;	/* signals from this process; 0: from all */

__u64 lost;	/* records that found the buffer full */

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline int send(int target, int tid, int signal)
{
	struct event e = {
		.time_ns = bpf_ktime_get_ns(),
		.pid = bpf_get_current_pid_tgid() >> 32,
		.target = target,
		.tid = tid,
		.signal = signal,
	};

	if (only_pid && only_pid != e.pid)
		return 0;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
