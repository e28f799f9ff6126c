// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a member that was never set. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct call {
	__u32 uid;
	const char *path;
};

SEC("tp/syscalls/sys_enter_execve")
int say_path(struct trace_event_raw_sys_enter *ctx)
{
	struct call call;
	char text[64];

	call.uid = bpf_get_current_uid_gid();
	/* Broken: nothing was written to call.path. The mended program says here:
	 * call.path = (const char *)ctx->args[0];
	 */
	bpf_probe_read_user_str(text, sizeof(text), call.path);
	bpf_printk("user %d executes %s", call.uid, text);
	return 0;
}
