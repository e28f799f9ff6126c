/* Loads that cause a known number of events, after a byte has come on standard
 * input:
 *
 *	load spawn N PROGRAM	run a program N times, one after the other
 *	load call N		call getppid(2) N times
 *	load open N		open a file N times
 *	load malloc N		allocate N times from a few places
 *
 * When it is done it prints the nanoseconds that this took, but for spawn those of
 * its CPU time, which is where a program's cost goes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void spawn(long n, char *program)
{
	while (n--) {
		pid_t child = vfork();

		if (child == 0) {
			execl(program, program, NULL);
			_exit(127);
		}
		waitpid(child, NULL, 0);
	}
}

static void call(long n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void open_files(long n)
{
	while (n--)
		close(open("/dev/null", O_RDONLY));
}

__attribute__((noinline)) static void allocate(int depth)
{
	void *volatile pointer;

	if (depth) {
		allocate(depth - 1);
		__asm__ volatile("");	/* no tail call: the frame stays */
		return;
	}
	pointer = malloc(16);
	free(pointer);
}

int main(int argc, char **argv)
{
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
	long n, began;
	char byte;

	if (argc < 3 || read(0, &byte, 1) < 0)
		return 1;
	n = atol(argv[2]);
	if (!strcmp(argv[1], "spawn"))
		clock = CLOCK_MONOTONIC;
	began = now(clock);
	if (!strcmp(argv[1], "spawn"))
		spawn(n, argv[3]);
	else if (!strcmp(argv[1], "call"))
		call(n);
	else if (!strcmp(argv[1], "open"))
		open_files(n);
	else
		for (long i = 0; i < n; i++)
			allocate(i % 16);
	printf("%ld\n", now(clock) - began);
	fflush(stdout);
	/* Whoever looks at this process from outside shall find it. */
	if (!strcmp(argv[1], "malloc") && read(0, &byte, 1) < 0)
		return 1;
	return 0;
}
