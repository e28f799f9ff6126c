/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which calls ebpf-execsnoop shows, BCC dialect: a part of execsnoop.bcc.c. */
#include "lib/filter.bcc.h"
#include "lib/processes.bcc.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Donly_uid=	calls of this user; -1: of all
 *	-Donly_ppid=	by children of this process; 0: by all
 *	-Dby_cgroupset=	only from the cgroups in cgroupset
 *	-Dby_mntnsset=	from the mount namespaces in mntnsset
 *	-Dwith_failed=	also calls that failed
 */

/* Two sets that another program made and pinned to a path in bpffs. BCC opens
 * that path when it compiles, and wants it in the source. But what a user
 * types must not become part of a program: the Python side opens the path, too,
 * and passes the number of the file descriptor.
 *
 *	-Dcgroupset_fd=, -Dmntnsset_fd=
 */
#define TEXT(number) #number
#define PATH_OF(fd) "/proc/self/fd/" TEXT(fd)

#if by_cgroupset
/* cgroup id -> anything */
BPF_TABLE_PINNED("hash", u64, u64, cgroupset, 1024, PATH_OF(cgroupset_fd));
#endif
#if by_mntnsset
/* inode number of /proc/PID/ns/mnt -> anything */
BPF_TABLE_PINNED("hash", u64, u32, mntnsset, 1024, PATH_OF(mntnsset_fd));
#ifndef STRUCTURES_FROM_BTF
/* The kernel declares it in a header for file systems only. */
struct mnt_namespace {
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	atomic_t count;
#endif
	struct ns_common ns;
};
#endif
#endif

static __always_inline bool in_sets(struct task_struct *task)
{
	u64 id;

#if by_cgroupset
	id = bpf_get_current_cgroup_id();
	if (!cgroupset.lookup(&id))
		return false;
#endif
#if by_mntnsset
	id = task->nsproxy->mnt_ns->ns.inum;
	if (!mntnsset.lookup(&id))
		return false;
#endif
	return true;
}

static __always_inline bool is_wanted(struct task_struct *task)
{
	if (!process_matches() || !uid_matches(only_uid))
		return false;
	if (only_ppid && task->real_parent->tgid != only_ppid)
		return false;
	return in_sets(task);
}
