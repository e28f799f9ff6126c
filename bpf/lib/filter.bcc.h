/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Filters, BCC dialect: is this the process, the thread, the user that
 * the caller asked for? A filter that is not set costs nothing: its number is a constant,
 * so the compiler drops the rest.
 */
#pragma once

/* What the kernel calls tgid is the process ID. 0: any process. */
static __always_inline bool pid_matches(s32 wanted)
{
	return !wanted || wanted == (s32)(bpf_get_current_pid_tgid() >> 32);
}

/* What the kernel calls pid is the thread ID. 0: any thread. */
static __always_inline bool tid_matches(s32 wanted)
{
	return !wanted || wanted == (s32)bpf_get_current_pid_tgid();
}

/* -1: any user. 0 is root. */
static __always_inline bool uid_matches(s64 wanted)
{
	return wanted < 0 || wanted == (u32)bpf_get_current_uid_gid();
}

/* The inode number of the first PID namespace: PROC_PID_INIT_INO. */
#define FIRST_PIDNS 0xEFFFFFFC

/* Is it this process of this PID namespace? dev and ino are the device and the
 * inode number of its /proc/self/ns/pid. The helper fails for a process of any
 * other PID namespace. The one for the numbers of the first namespace is faster.
 */
static __always_inline bool is_process_of(u64 dev, u64 ino, s32 pid)
{
	struct bpf_pidns_info ns = {};

	if (ino == FIRST_PIDNS)
		return bpf_get_current_pid_tgid() >> 32 == pid;
	return !bpf_get_ns_current_pid_tgid(dev, ino, &ns, sizeof(ns)) &&
	       ns.tgid == pid;
}
