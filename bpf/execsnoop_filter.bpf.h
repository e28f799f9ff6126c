/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which calls ebpf-execsnoop shows, libbpf dialect: a part of execsnoop.bpf.c. */
#include "lib/filter.bpf.h"
#include "lib/processes.bpf.h"

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile __s32 only_ppid;		/* by children of this process; 0: by all */
const volatile bool by_cgroupset;	/* only from the cgroups in cgroupset */
const volatile bool by_mntnsset;	/* from the mount namespaces in mntnsset */
const volatile bool with_failed;	/* also calls that failed */

/* Two sets that another program made and pinned to a path in bpffs. The
 * Python side opens that path, and libbpf uses the maps there instead of
 * creating these.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);	/* cgroup id */
	__type(value, __u64);
} cgroupset SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);	/* inode number of /proc/PID/ns/mnt */
	__type(value, __u32);
} mntnsset SEC(".maps");

static __always_inline bool in_sets(struct task_struct *task)
{
	__u64 id;

	if (by_cgroupset) {
		id = bpf_get_current_cgroup_id();
		if (!bpf_map_lookup_elem(&cgroupset, &id))
			return false;
	}
	if (by_mntnsset) {
		id = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
		if (!bpf_map_lookup_elem(&mntnsset, &id))
			return false;
	}
	return true;
}

static __always_inline bool is_wanted(struct task_struct *task)
{
	if (!process_matches() || !uid_matches(only_uid))
		return false;
	if (only_ppid && BPF_CORE_READ(task, real_parent, tgid) != only_ppid)
		return false;
	return in_sets(task);
}
