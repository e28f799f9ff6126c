/* Call malloc from a function, then become the program that is named, if one is.
 * The compiler gets the function's name, -DNAME=, how often it is called,
 * -DCALLS=, and with -DWAITS the program begins when a byte comes. The last one
 * says that it is there and waits for the end of its input.
 */
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) void *NAME(void)
{
	void *volatile pointer = malloc(100);

	return pointer;
}

int main(int argc, char **argv)
{
	char byte;

#ifdef WAITS
	if (read(0, &byte, 1) != 1)
		return 1;
#endif
	for (int i = 0; i < CALLS; i++)
		free(NAME());
	if (argc > 1)
		execv(argv[1], argv + 1);
	if (write(1, "\n", 1) != 1)
		return 1;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
