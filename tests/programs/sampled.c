/* What ebpf-profile samples. It writes "r", waits for a byte, then
 *
 *	share MILLISECONDS	uses so much CPU time, 3 parts of 4 in three()
 *	touch PAGES		writes to so many new pages in each of: its first thread,
 *				one that was there before, a new one, a child process
 *	deep STACKS		writes to a new page at each of so many stacks
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static volatile unsigned long sink;
static pthread_barrier_t begun;

static long used_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* A part of its callers: a function that calls none may have no frame, and then
 * the kernel would not see who has called it. By the clock, since how fast a loop is
 * depends on where the compiler has put it; it asks seldom, so as not to be sampled there.
 */
static inline __attribute__((always_inline)) void spin(long milliseconds)
{
	long end = used_ms() + milliseconds;

	while (used_ms() < end)
		for (long i = 0; i < 50000; i++)
			sink++;
}

static void __attribute__((noinline)) one(void)
{
	spin(10);
}

static void __attribute__((noinline)) three(void)
{
	spin(30);
}

static void share(long milliseconds)
{
	do {
		one();
		three();
	} while (used_ms() < milliseconds);
}

static char *new_pages(long pages)
{
	char *memory = mmap(0, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, pages * PAGE, MADV_NOHUGEPAGE))
		exit(1);
	return memory;
}

static void __attribute__((noinline)) touch(long pages)
{
	char *memory = new_pages(pages);

	for (long i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
}

static void *in_thread(void *pages)
{
	pthread_barrier_wait(&begun);
	touch((long)pages);
	return 0;
}

static void touch_everywhere(long pages, pthread_t there)
{
	pthread_t later;

	touch(pages);
	pthread_barrier_wait(&begun);
	pthread_join(there, 0);
	pthread_create(&later, 0, in_thread, (void *)pages);
	pthread_barrier_wait(&begun);
	pthread_join(later, 0);
	if (!fork()) {
		touch(pages);
		_exit(0);
	}
	wait(0);
}

static int __attribute__((noinline)) descend(long depth, char *page)
{
	if (depth)
		return descend(depth - 1, page) + 1;	/* no tail call */
	*page = 1;
	return 1;
}

int main(int argc, char **argv)
{
	long number = atol(argv[2]);
	pthread_t there;
	char byte;

	pthread_barrier_init(&begun, 0, 2);
	if (!strcmp(argv[1], "touch"))
		pthread_create(&there, 0, in_thread, (void *)number);
	if (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		return 1;
	if (!strcmp(argv[1], "share"))
		share(number);
	if (!strcmp(argv[1], "touch"))
		touch_everywhere(number, there);
	if (!strcmp(argv[1], "deep")) {
		char *memory = new_pages(number);

		for (long i = 0; i < number; i++)
			sink += descend(i, memory + i * PAGE);
	}
	return read(0, &byte, 1);	/* until its input is closed */
}
