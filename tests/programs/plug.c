/* A library that plugs.c loads. The compiler gets the name of the function that
 * calls malloc: -DNAME=.
 */
#include <stdlib.h>

__attribute__((noinline)) void NAME(void)
{
	void *volatile pointer = malloc(77);

	free(pointer);
}

void work(void)
{
	for (int i = 0; i < 10; i++)
		NAME();
}
