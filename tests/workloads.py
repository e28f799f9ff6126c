"""Small C programs that cause a known number of events."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Runs a program (/bin/true) so many times, after a byte has come on standard
# input; with -1, until it is killed.
SPAWN = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *program = argc > 2 ? argv[2] : "/bin/true";
	char byte;

	if (read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i != atoi(argv[1]); i++) {
		int status;
		pid_t child = vfork();

		if (child == 0) {
			execl(program, program, NULL);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}
"""

# A process with something for every tool: it opens a directory and makes one.
# Linked statically, so that it does nothing else.
STEP = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	char name[32];

	close(open("/", O_RDONLY));
	snprintf(name, sizeof(name), "%d", getpid());
	return mkdir(name, 0700) || rmdir(name);
}
"""

# Says when it is there and waits for its end; with an argument, it allocates
# until then.
TARGET = """
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (write(1, ".", 1) < 0)
		return 1;
	while (argc == 1)
		pause();
	for (;;) {
		void *volatile pointer = malloc(1);

		free(pointer);
	}
}
"""

# The first thread ends long before the last one, which ends the process with 5.
LEADERLESS = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *last(void *unused)
{
	usleep(100000);
	exit(5);
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, last, NULL))
			return 1;
	pthread_exit(NULL);
}
"""

# Four threads come and go; then the process ends.
THREADS = """
#include <pthread.h>

static void *nothing(void *unused)
{
	return unused;
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
			return 1;
	return 0;
}
"""

# The programs below say that they are there with a byte on standard output. Then
# they wait for one on standard input, and do nothing before it comes.

# Opens a file and one that is not there, so many times each, through every
# system call for it, in two threads.
OPENS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **arguments;

static void done(long fd)
{
	if (fd >= 0)
		close(fd);
}

static void *work(void *unused)
{
	struct open_how how = { .flags = O_WRONLY | O_CREAT, .mode = 0640 };

	for (int i = 0; i < atoi(arguments[1]); i++)
		for (int j = 2; j < 4; j++) {
#ifdef SYS_open
			done(syscall(SYS_open, arguments[j], O_RDONLY));
#else
			done(syscall(SYS_openat, AT_FDCWD, arguments[j], O_RDONLY));
#endif
			done(syscall(SYS_openat, AT_FDCWD, arguments[j], O_RDWR | O_CLOEXEC));
			done(syscall(SYS_openat2, AT_FDCWD, arguments[j], &how, sizeof(how)));
		}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;

	arguments = argv;
	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	if (pthread_create(&thread, NULL, work, NULL))
		return 1;
	work(NULL);
	return pthread_join(thread, NULL);
}
"""

# Opens a file whose name lies in a page that nobody has touched yet: that of a
# file which holds the name.
UNTOUCHED = """
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDONLY);
	char *name = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	char byte;

	if (name == MAP_FAILED || write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	return open(name, O_RDONLY) < 0;
}
"""

# So many threads wait in open() for the other end of a FIFO. On a second byte
# from standard input, the process ends in one of several ways.
WAITING = """
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static char **arguments;

static void *wait_in_open(void *unused)
{
	open(arguments[1], O_RDONLY);
	return unused;
}

static void *execute(void *unused)
{
	execl("/bin/true", "true", NULL);
	return unused;
}

static volatile sig_atomic_t interruptions;

static void interrupted(int number)
{
	interruptions++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = interrupted };
	pthread_t thread;
	char byte;

	arguments = argv;
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, NULL);
	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < atoi(argv[3]); i++)
		if (pthread_create(&thread, NULL, wait_in_open, NULL))
			return 1;
	if (read(0, &byte, 1) < 0)
		return 1;
	switch (argv[2][0]) {
	case 'e':	/* exit: the others go with the first thread */
		_exit(0);
	case 'k':	/* killed */
		raise(SIGKILL);
	case 'x':	/* a thread executes a program, so all others go */
		if (pthread_create(&thread, NULL, execute, NULL))
			return 1;
		pthread_join(thread, NULL);
	case 'i':	/* interrupted, and called anew by the kernel */
		pthread_kill(thread, SIGUSR2);
		while (!interruptions)
			usleep(1000);
		open(arguments[1], O_WRONLY);
		break;
	case 'h':	/* interrupted, and over: EINTR */
		pthread_kill(thread, SIGUSR1);
		break;
	}
	pthread_join(thread, NULL);
	return 0;
}
"""

# Calls getppid() so many times, in so many threads, which are spread over the CPUs.
GETPPID = """
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **arguments;

static void *work(void *number)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((long)number % sysconf(_SC_NPROCESSORS_ONLN), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	for (int i = 0; i < atoi(arguments[2]); i++)
		syscall(SYS_getppid);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int count = atoi(argv[1]);
	char byte;

	arguments = argv;
	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 1;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
"""

# Makes several system calls, each a number of times of its own, and one that
# there is not.
SEVERAL = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#define TIMES(n, call) for (int i = 0; i < n; i++) call

int main(void)
{
	char byte;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	TIMES(3, syscall(SYS_getppid));
	TIMES(5, syscall(SYS_getuid));
	TIMES(7, syscall(SYS_gettid));
	TIMES(11, syscall(SYS_umask, 022));
	TIMES(13, syscall(SYS_fstat, -1, 0));
	TIMES(17, syscall(SYS_uname, 0));
	TIMES(19, syscall(SYS_umount2, 0, 0));
	TIMES(23, syscall(SYS_openat2, -1, 0, 0, 0));
	TIMES(29, syscall(SYS_sendfile, -1, -1, 0, 0));
	TIMES(31, syscall(SYS_statx, -1, 0, 0, 0, 0));
	TIMES(37, syscall(9999));
	TIMES(41, syscall(-1));
	return 0;
}
"""

# Calls getpid() by the number and in the way of a 32-bit program; 20 is writev()
# to others.
AS_32_BIT = """
#include <unistd.h>

int main(void)
{
	char byte;
	long pid;

	if (write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < 1000; i++) {
		__asm__ volatile("int $0x80" : "=a"(pid) : "a"(20L) : "memory");
		if (pid != getpid())
			return 1;
	}
	return 0;
}
"""


class Workload:
    """A program that says when it is there, and begins when it is told to."""

    def __init__(self, *command: str | Path, cwd: Path | None = None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, bufsize=0)
        self.pid = self.process.pid
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"r"
        self.process.stdout.close()

    def begin(self, what: bytes = b"x") -> None:
        assert self.process.stdin
        self.process.stdin.write(what)

    def finish(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait()


def compiled(source: str, path: Path, *options: str) -> Path:
    """Compile a program and return its path."""
    flags = ["-O1", "-pthread", *options, "-xc", "-", "-o", str(path)]
    subprocess.run(["gcc", *flags], input=source, text=True, check=True)
    return path
