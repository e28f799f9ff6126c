/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ebpf-task-iter --files, BCC dialect: list the open files of the processes. */
#pragma once

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd __attribute__((aligned(8)));
	struct file *file;
};

/* Too large for the stack. One tool reads, so there is one call at a time. */
BPF_ARRAY(scratch, struct open_file, 1);

/* The kernel calls it for each open file of each thread that does not share them all
 * with its process.
 */
int bpf_iter__task_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	int zero = 0;
	struct open_file *found = scratch.lookup(&zero);

	if (!found || !task || !file || (only_pid && only_pid != task->tgid))
		return 0;
	found->pid = task->tgid;
	found->tid = task->pid;
	found->fd = ctx->fd;
	bpf_probe_read_kernel_str(found->comm, sizeof(found->comm), task->comm);
	found->length = bpf_d_path(&file->f_path, found->path, sizeof(found->path));
	bpf_seq_write(ctx->meta->seq, found, sizeof(*found));
	return 0;
}
