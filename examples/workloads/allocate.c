// SPDX-License-Identifier: BSD-2-Clause
/* Allocate a known number of bytes at a known number of stacks.
 *
 *	gcc -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls \
 *		-pthread allocate.c -o allocate
 *	./allocate STACKS CALLS [THREADS]
 *
 * It waits for a byte on standard input, so that a tracer can be started
 * first. Then it calls malloc() CALLS times, at one stack after the other,
 * always N + 1 bytes at stack N, says what that makes, and waits for the end
 * of its input. The program itself allocates nothing else in between.
 *
 * The binary digits of N are the stack: for N = 2 and STACKS = 4, work() calls
 * one(), which calls zero(), which calls allocate().
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS 64

static unsigned long stacks, calls, threads = 1, bits;
static pthread_barrier_t start;

/* No two frames may melt into one, and none may be left out. */
#define FRAME __attribute__((noinline, noclone))

FRAME void allocate(unsigned long number)
{
	void *volatile memory = malloc(number + 1);

	free(memory);
}

FRAME void zero(unsigned long number, unsigned long bit);
FRAME void one(unsigned long number, unsigned long bit);

static inline __attribute__((always_inline)) void descend(unsigned long number,
							   unsigned long bit)
{
	if (bit == 0)
		allocate(number);
	else if (number >> (bit - 1) & 1)
		one(number, bit - 1);
	else
		zero(number, bit - 1);
	__asm__ volatile("");	/* nothing is a tail call */
}

FRAME void zero(unsigned long number, unsigned long bit)
{
	descend(number, bit);
}

FRAME void one(unsigned long number, unsigned long bit)
{
	descend(number, bit);
}

FRAME void work(unsigned long first)
{
	for (unsigned long i = first; i < calls; i += threads)
		descend(i % stacks, bits);
}

static void *thread(void *first)
{
	pthread_barrier_wait(&start);
	work((unsigned long)first);
	return NULL;
}

static void say_total(void)
{
	unsigned long long bytes = 0;
	char line[80];

	for (unsigned long i = 0; i < calls; i++)
		bytes += i % stacks + 1;
	/* printf() would allocate a buffer. */
	snprintf(line, sizeof(line), "%llu bytes in %lu calls\n", bytes, calls);
	if (write(1, line, strlen(line)) < 0)
		exit(1);
}

int main(int argc, char **argv)
{
	pthread_t ids[MAX_THREADS];
	char byte;

	if (argc > 2) {
		stacks = strtoul(argv[1], NULL, 10);
		calls = strtoul(argv[2], NULL, 10);
	}
	if (argc > 3)
		threads = strtoul(argv[3], NULL, 10);
	if (!stacks || !threads || threads > MAX_THREADS) {
		fprintf(stderr, "usage: %s STACKS CALLS [THREADS]\n", argv[0]);
		return 2;
	}
	while (1UL << bits < stacks)
		bits++;

	/* Threads cost memory when they begin: let them begin before. */
	pthread_barrier_init(&start, NULL, threads + 1);
	if (threads > 1)
		for (unsigned long i = 0; i < threads; i++)
			pthread_create(&ids[i], NULL, thread, (void *)i);

	if (read(0, &byte, 1) != 1)
		return 1;
	if (threads > 1) {
		pthread_barrier_wait(&start);
		for (unsigned long i = 0; i < threads; i++)
			pthread_join(ids[i], NULL);
	} else {
		work(0);
	}
	say_total();
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
