// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-lsm, BCC dialect: see mkdir, and refuse it in a cgroup. */
#include "lsm.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_cgroup=	calls by its processes; 0: by all
 *	-Ddeny=		refuse it; the tool sets this only for a cgroup
 *	-Drb_max_entries=	size of the ring buffer in bytes: --buffer
 */

BPF_ARRAY(lost, u64, 1);	/* records that found the buffer full */

BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE);

/* The kernel asks each security module before it makes a directory. 0 allows; the
 * last argument is what the module before said.
 */
LSM_PROBE(path_mkdir, void *dir, struct dentry *dentry, int mode, int ret)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .refused = deny };
	int zero = 0;

	if (ret || (only_cgroup && only_cgroup != bpf_get_current_cgroup_id()))
		return ret;
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_kernel_str(e.name, sizeof(e.name), dentry->d_name.name);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return deny ? -1 : 0;	/* -EPERM */
}
