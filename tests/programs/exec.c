/* Execute a program in an odd way: exec WAY [ARGUMENT...]. If that fails, the
 * exit status is the errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AT_EXECVE_CHECK 0x10000

static char *const environment[] = { "PATH=/usr/bin", NULL };

static void execute(const void *file, void *argv)
{
	syscall(SYS_execve, file, argv, environment);
}

static void execute_at(int fd, const char *file, char **argv, int flags)
{
	syscall(SYS_execveat, fd, file, argv, environment, flags);
}

static void *in_thread(void *argv)
{
	execute(((char **)argv)[0], (char **)argv + 1);
	exit(errno);
}

/* A copy of text in a page that no one has touched: the kernel can read it, but
 * only after it has brought it into memory.
 */
static char *absent(const char *text)
{
	int fd = memfd_create("absent", 0);

	if (fd < 0 || write(fd, text, strlen(text) + 1) < 0)
		exit(errno);
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
}

int main(int argc, char **argv)
{
	char **rest = argv + 2;
	char *way = argv[1];
	char *bad = (char *)1;
	pthread_t thread;

	if (!strcmp(way, "plain"))		/* FILE ARGV... */
		execute(rest[0], rest + 1);
	if (!strcmp(way, "thread")) {		/* FILE ARGV... */
		pthread_create(&thread, NULL, in_thread, rest);
		pthread_join(thread, NULL);
	}
	if (!strcmp(way, "null"))		/* FILE */
		execute(rest[0], NULL);
	if (!strcmp(way, "empty"))		/* FILE */
		execute(rest[0], (char *[]){ NULL });
	if (!strcmp(way, "bad-list"))		/* FILE */
		execute(rest[0], bad);
	if (!strcmp(way, "bad-word"))		/* FILE WORD */
		execute(rest[0], (char *[]){ rest[1], bad, rest[1], NULL });
	if (!strcmp(way, "bad-file"))		/* ARGV... */
		execute(bad, rest);
	if (!strcmp(way, "absent"))		/* FILE WORD */
		execute(rest[0], (char *[]){ rest[1], absent(rest[1]), NULL });
	if (!strcmp(way, "absent-name"))	/* FILE ARGV0 WORD */
		execute(rest[0], (char *[]){ absent(rest[1]), rest[2], NULL });
	if (!strcmp(way, "long")) {		/* FILE WORD LENGTH */
		char *word = malloc(atoi(rest[2]) + 1);

		memset(word, 'x', atoi(rest[2]));
		word[atoi(rest[2])] = 0;
		execute(rest[0], (char *[]){ rest[1], word, NULL });
	}
	/* DIRECTORY FILE ARGV..., the directory as descriptor 3 */
	if (!strcmp(way, "at"))
		execute_at(open(rest[0], O_RDONLY), rest[1], rest + 2, 0);
	if (!strcmp(way, "fd"))			/* FILE ARGV... */
		execute_at(open(rest[0], O_RDONLY), "", rest + 1, AT_EMPTY_PATH);
	if (!strcmp(way, "check")) {		/* FILE ARGV... */
		errno = 0;
		execute_at(AT_FDCWD, rest[0], rest + 1, AT_EXECVE_CHECK);
	}
	return errno;
}
