// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a member that was never set. */

struct call {
	u32 uid;
	const char *path;
};

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	struct call call;
	char text[64];

	call.uid = bpf_get_current_uid_gid();
	/* Broken: nothing was written to call.path. The mended program says here:
	 * call.path = args->filename;
	 */
	bpf_probe_read_user_str(text, sizeof(text), call.path);
	bpf_trace_printk("user %d executes %s", call.uid, text);
	return 0;
}
