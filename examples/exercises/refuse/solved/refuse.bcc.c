#include "refuse.h"

/* refuse.py passes only_cgroup to the compiler, as a number: -Donly_cgroup=117 */

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

/* The kernel asks before it makes a directory. 0 allows it, -EPERM does not. */
LSM_PROBE(path_mkdir, void *dir, struct dentry *dentry, int mode, int ret)
{
	struct event e = {};
	int first = 0;

	if (ret || bpf_get_current_cgroup_id() != only_cgroup)
		return ret;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_kernel_str(e.name, sizeof(e.name), dentry->d_name.name);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return -EPERM;
}
