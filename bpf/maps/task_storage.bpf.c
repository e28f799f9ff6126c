// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps task-storage, libbpf dialect: a value for each thread. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} calls SEC(".maps");

/* Not "tc": on Linux 6.1, only programs that trace may ask for the task. */
SEC("raw_tp")
int count(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *value;

	value = bpf_task_storage_get(&calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!value)
		return -ENOMEM;
	*value += 1;	/* no other thread has this value */
	return *value;
}

SEC("raw_tp")
int lookup(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *value;

	value = bpf_task_storage_get(&calls, task, NULL, 0);
	return value ? *value : -ENOENT;
}
