// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-lsm, libbpf dialect: see mkdir, and refuse it in a cgroup. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lsm.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 only_cgroup;	/* calls by its processes; 0: by all */
const volatile bool deny;	/* refuse it; the tool sets this only for a cgroup */

__u64 lost;	/* records that found the buffer full */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

/* The kernel asks each security module before it makes a directory. 0 allows; the
 * last argument is what the module before said.
 */
SEC("lsm/path_mkdir")
int BPF_PROG(path_mkdir, void *dir, struct dentry *dentry, int mode, int ret)
{
	struct event e = { .time_ns = bpf_ktime_get_ns(), .refused = deny };
	long refusal = -1;	/* -EPERM */

	if (ret || (only_cgroup && only_cgroup != bpf_get_current_cgroup_id()))
		return ret;
	e.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_kernel_str(e.name, sizeof(e.name), dentry->d_name.name);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	/* Otherwise clang writes -deny, whose range the verifier of Linux 6.12 does not know. */
	barrier_var(refusal);
	return deny ? refusal : 0;
}
