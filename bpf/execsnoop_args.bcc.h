/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading the file name and the arguments of a program that is executed; BCC
 * dialect: a part of execsnoop.bcc.c.
 */
#include "lib/bounds.bcc.h"

/* The Python side passes this to the compiler as a number:
 *
 *	-Dmax_args=	of a call that failed, read this many
 */

/* Returns the bytes of a string, with the 0 at its end, or a negative errno. */
static __always_inline long read_string(char *to, int size, const void *from)
{
	long bytes = bpf_probe_read_user_str(to, size, from);

	/* Of an empty one, older kernels did not count the 0. */
	return bytes ? bytes : 1;
}

/* Read the file name, which comes first. Returns its bytes; 0 after an error. */
static __always_inline u64 read_filename(struct event *event, u64 filename)
{
	return zero_above(PATH_LEN, read_string(event->text, PATH_LEN,
						(void *)filename));
}

/* The call has succeeded: the kernel has copied everything to the top of the
 * new program's stack, where it is in memory, and nobody has changed it yet. At
 * its lower end are the arguments, in one piece. Returns their bytes.
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

/* The call has failed: argv is still where the caller has it, an array of
 * addresses. Any of them may be wrong, which may be why the call has failed.
 * Returns the bytes of what could be read.
 */
static __always_inline u64 read_old(struct event *event, u64 start,
				      const char *const *argv)
{
	u64 size = 0;
	const char *arg;
	long more;
	u32 i;

	event->incomplete = false;
	if (!argv)	/* Linux takes it for an empty list */
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
