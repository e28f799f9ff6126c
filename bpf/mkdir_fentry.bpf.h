/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-mkdir --via fentry, libbpf dialect: a part of mkdir.bpf.c. */

/* fentry: a direct call at the function's beginning, in place of a breakpoint.
 * The context is an array of the arguments.
 */
SEC("fentry/vfs_mkdir")
int fentry__vfs_mkdir(__u64 *ctx)
{
	struct dentry *dentry = (void *)array_arg(ctx, dentry_arg);
	__u32 mode = array_arg(ctx, mode_arg);

	return enter_vfs_mkdir((__u64)ctx, dentry, mode);
}

/* fexit: the same at its end. The result is after the arguments. */
SEC("fexit/vfs_mkdir")
int fexit__vfs_mkdir(__u64 *ctx)
{
	return leave_vfs_mkdir((__u64)ctx, array_arg(ctx, arg_count));
}
