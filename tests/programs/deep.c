/* Allocate DEPTH bytes below DEPTH calls of descend(), for each DEPTH from FIRST to LAST.
 *
 * It waits for a byte on standard input before, says so when it is done, and
 * waits for the end of its input.
 */
#include <stdlib.h>
#include <unistd.h>

#define FRAME __attribute__((noinline, noclone))

FRAME void descend(long calls, long depth)
{
	if (calls > 1) {
		descend(calls - 1, depth);
	} else {
		void *volatile memory = malloc(depth);

		free(memory);
	}
	__asm__ volatile("");	/* nothing is a tail call */
}

int main(int argc, char **argv)
{
	char byte;

	if (argc != 3 || read(0, &byte, 1) != 1)
		return 1;
	for (long depth = atol(argv[1]); depth <= atol(argv[2]); depth++)
		descend(depth, depth);
	if (write(1, "done\n", 5) != 5)
		return 1;
	while (read(0, &byte, 1) == 1)
		;
	return 0;
}
