/* Open a file, and one that is not there, some times each, through every system
 * call for it and in two threads: opens TIMES FILE MISSING. It says that it is
 * there, and begins when a byte comes.
 */
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
