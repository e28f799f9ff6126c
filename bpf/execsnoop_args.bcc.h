/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading the file name and the arguments of a program that is executed; BCC
 * dialect: a part of execsnoop.bcc.c.
 */
#include "lib/bounds.bcc.h"

/* The Python side passes this to the compiler as a number:
 *
 *	-Dmax_args=	of a call that failed, read this many
 */

/* Return the size of a string with its NUL, or a negative errno. */
static __always_inline long read_string(char *to, int size, const void *from)
{
	long bytes = bpf_probe_read_user_str(to, size, from);

	/* Older kernels did not count the NUL of an empty string. */
	return bytes ? bytes : 1;
}

/* Read the file name, which comes first. Return its size; 0 after an error. */
static __always_inline u64 read_filename(struct event *event, u64 filename)
{
	return zero_above(PATH_LEN, read_string(event->text, PATH_LEN,
						(void *)filename));
}

/* The call succeeded: the kernel copied everything to the top of the new
 * program's stack. It is in memory there, and nobody has changed it yet. The
 * arguments are at its lower end, in one piece. Return their size.
 */
static __always_inline u64 read_new(struct event *event, u64 start,
				      struct mm_struct *mm)
{
	u64 args = mm->arg_start;
	u64 size = mm->arg_end - args;

	event->incomplete = size > ARGS_LEN;
	size = at_most(ARGS_LEN, size);
	if (bpf_probe_read_user(event->text + start, size, (void *)args)) {
		event->incomplete = true;
		return 0;
	}
	return size;
}

/* The call failed: argv is still in the caller's memory, an array of addresses.
 * Any of them may be wrong, and that may be why the call failed. Return the size
 * of what could be read.
 */
static __always_inline u64 read_old(struct event *event, u64 start,
				      const char *const *argv)
{
	u64 size = 0;
	const char *arg;
	long more;
	u32 i;

	event->incomplete = false;
	if (!argv)	/* to Linux, this is an empty list */
		return 0;
	/* One for the program's name, and one to know whether there are more
	 * than are shown.
	 */
	for (i = 0; i < max_args + 2; i++) {
		if (bpf_probe_read_user(&arg, sizeof(arg), &argv[i]))
			break;
		if (!arg)
			return size;
		barrier_var(size);
		if (size > ARGS_LEN)
			break;
		more = read_string(event->text + start + size, ARGS_LEN + 1,
				   arg);
		if (more < 0)
			break;
		size += more;
	}
	event->incomplete = true;
	return size;
}
