/* Call malloc from a function, then become the program that is named, if one is.
 * The compiler gets the function's name, -DNAME=, how often it is called,
 * -DCALLS=, and -DSPINS=, what else it does at each call. With -DWAITS=1 the program
 * says that it is there, and begins when a byte comes. The last one waits for the
 * end of its input.
 */
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) void *NAME(void)
{
	void *volatile pointer = malloc(100);

	for (volatile int i = 0; i < SPINS; i++)
		;
	return pointer;
}

/* The code is the same in all of them. */
static const volatile int waits = WAITS;

int main(int argc, char **argv)
{
	char byte;

	if (waits && (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1))
		return 1;
	for (int i = 0; i < CALLS; i++)
		free(NAME());
	if (argc > 1)
		execv(argv[1], argv + 1);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
