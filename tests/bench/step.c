/* A program that does nothing, linked statically: exec and exit are all of it. */
int main(void)
{
	return 0;
}
