/* Allocate 123456 bytes; built as a library, to be loaded late. */
#include <stdlib.h>

void late(void)
{
	void *volatile pointer = malloc(123456);

	free(pointer);
}
