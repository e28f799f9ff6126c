/* A process that is looked at and may not want to be:
 *
 *	victim [map|loop|often|lease FILE] [memfds NUMBER] [jit] [leaderless]
 *
 * It says "r" and waits for a byte. Then it allocates 1000 times 7 bytes, waits for
 * the end of its input, and ends. Before, with "map", it maps the file for execution;
 * with "loop", it maps and unmaps it all the time meanwhile; with "often", it maps it
 * 60,000 times, and then at ever new places; with "lease", it wants to be asked
 * before anybody opens it; with "memfds", it maps so
 * many files of their own; with "jit", code that belongs to no file makes the calls;
 * with "leaderless", another thread does, and the first one has ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void (*work)(void);

static void allocate(void)
{
	void *volatile pointer = malloc(7);

	free(pointer);
}

/* push %rbp; mov %rsp,%rbp; movabs $allocate,%rax; call *%rax; pop %rbp; ret */
static void *jit(void)
{
	static const unsigned char code[] = {
		0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xd0, 0x5d, 0xc3,
	};
	void (*function)(void) = allocate;
	unsigned char *page;

	page = mmap((void *)0x123450000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (page == MAP_FAILED)
		exit(1);
	memcpy(page, code, sizeof(code));
	memcpy(page + 6, &function, sizeof(function));
	return page;
}

static void *map(const char *name)
{
	int fd = open(name, O_RDONLY);
	void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (fd < 0 || at == MAP_FAILED)
		exit(1);
	close(fd);
	return at;
}

/* Two pages in turn, so that the kernel makes a mapping of each. */
static void *map_often(void *name)
{
	int fd = open(name, O_RDONLY);

	for (unsigned long i = 0; ; i++) {
		void *at = (void *)(0x200000000000 + i * 4096);

		if (i >= 60000)
			munmap((char *)at - 60000 * 4096, 4096);
		if (mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd,
			 i % 2 * 4096) == MAP_FAILED)
			exit(1);
	}
	return NULL;
}

static void take_lease(const char *name)
{
	signal(SIGIO, SIG_IGN);	/* by which the kernel asks */
	if (fcntl(open(name, O_RDWR), F_SETLEASE, F_WRLCK))
		exit(1);
}

static void map_memfds(int number)
{
	while (number--) {
		int fd = memfd_create("many", 0);

		if (fd < 0 || ftruncate(fd, 4096))
			exit(1);
		if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			exit(1);
		close(fd);
	}
}

static void *map_and_unmap(void *name)
{
	for (;;)
		munmap(map(name), 4096);
	return NULL;
}

static void *wait_and_work(void *unused)
{
	char byte, rest[2];	/* who looks at it tells the two waits by their sizes */

	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		exit(1);
	for (int i = 0; i < 1000; i++)
		work();
	while (read(0, rest, sizeof(rest)) > 0)
		;
	exit(0);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	work = allocate;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "jit"))
			work = jit();
		if (!strcmp(argv[i], "lease"))
			take_lease(argv[++i]);
		else if (!strcmp(argv[i], "often"))
			pthread_create(&thread, NULL, map_often, argv[++i]);
		else if (!strcmp(argv[i], "memfds"))
			map_memfds(atoi(argv[++i]));
		else if (!strcmp(argv[i], "map"))
			map(argv[++i]);
		else if (!strcmp(argv[i], "loop"))
			pthread_create(&thread, NULL, map_and_unmap, argv[++i]);
	}
	if (!strcmp(argv[argc - 1], "leaderless")) {
		pthread_create(&thread, NULL, wait_and_work, NULL);
		pthread_exit(NULL);
	}
	wait_and_work(NULL);
	return 0;
}
