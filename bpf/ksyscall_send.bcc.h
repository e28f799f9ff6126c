/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A record for each call; BCC dialect: a part of ksyscall.bcc.c. The Python side
 * passes a number to the compiler:
 *
 *	-Donly_pid=	signals from this process; 0: from all
 */

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

static __always_inline int send(int target, int tid, int signal)
{
	struct event e = {
		.time_ns = bpf_ktime_get_ns(),
		.pid = bpf_get_current_pid_tgid() >> 32,
		.target = target,
		.tid = tid,
		.signal = signal,
	};
	int zero = 0;

	if (only_pid && only_pid != e.pid)
		return 0;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;
}
