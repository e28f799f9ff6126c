// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps cgroup-storage, libbpf dialect: a value for each cgroup. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/errno.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} calls SEC(".maps");

/* Not "tc": on Linux 6.2, only programs that trace may ask for the task. */
SEC("raw_tp")
int count(void *ctx)
{
	struct cgroup *cgroup = bpf_get_current_task_btf()->cgroups->dfl_cgrp;
	__u64 *value;

	value = bpf_cgrp_storage_get(&calls, cgroup, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!value)
		return -ENOMEM;
	/* Every process in the cgroup shares it. */
	return __sync_fetch_and_add(value, 1) + 1;
}

SEC("raw_tp")
int lookup(void *ctx)
{
	struct cgroup *cgroup = bpf_get_current_task_btf()->cgroups->dfl_cgrp;
	__u64 *value;

	value = bpf_cgrp_storage_get(&calls, cgroup, NULL, 0);
	return value ? *value : -ENOENT;
}
