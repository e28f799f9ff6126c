#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "refuse.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

const volatile __u64 only_cgroup;	/* refuse.py sets it before the program is loaded */

/* The kernel asks before it makes a directory. 0 allows it, -EPERM does not. */
SEC("lsm/path_mkdir")
int BPF_PROG(path_mkdir, void *dir, struct dentry *dentry, int mode, int ret)
{
	struct event e = {};

	if (ret || bpf_get_current_cgroup_id() != only_cgroup)
		return ret;
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_kernel_str(e.name, sizeof(e.name), dentry->d_name.name);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	/* TODO: refuse it (EPERM) */
	return 0;
}
