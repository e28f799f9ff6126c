/* Processes that get the ID of one that has just ended: again DIRECTORY
 *
 * The first one is a child of a process that is there before the word that begins it. The
 * second one is ours, and makes two directories: the kernel frees the one before in between.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void create(const char *directory, const char *end)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%d.%s", directory, getpid(), end);
	if (mkdir(path, 0700))
		_exit(2);
}

static pid_t ended(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (waitpid(pid, NULL, 0) != pid)
		exit(3);
	return pid;
}

static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};

	return syscall(SYS_clone3, &args, sizeof(args));
}

static void be_stranger(const char *directory, int from)
{
	int status;
	pid_t pid;

	if (read(from, &pid, sizeof(pid)) != sizeof(pid))
		_exit(4);
	pid = fork_as(pid);
	if (!pid) {
		create(directory, "stranger");
		_exit(0);
	}
	_exit(waitpid(pid, &status, 0) == pid ? status : 5);
}

int main(int argc, char **argv)
{
	pid_t pid, stranger;
	int status, tell[2];
	char go;

	if (argc != 2 || pipe(tell))
		return 1;
	stranger = fork();
	if (!stranger)
		be_stranger(argv[1], tell[0]);
	if (write(1, "r", 1) != 1 || read(0, &go, 1) != 1)
		return 1;

	pid = ended();
	if (write(tell[1], &pid, sizeof(pid)) != sizeof(pid) ||
	    waitpid(stranger, &status, 0) != stranger || status)
		return 6;

	pid = fork_as(ended());
	if (!pid) {
		create(argv[1], "first");
		for (int i = 0; i < 5; i++)
			if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
				_exit(7);
		create(argv[1], "second");
		_exit(0);
	}
	return waitpid(pid, &status, 0) != pid || status;
}
