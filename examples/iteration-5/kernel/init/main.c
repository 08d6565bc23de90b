/* The Image is a program of the machine it was built on. */
#include <linux/kernel.h>
#include "../usr/decode.h"

extern const char uts_release[];
extern const char linux_banner[];

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--release")) {
		puts(uts_release);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		fputs(linux_banner, stdout);
		return 0;
	}
	if (argc == 6 && !strcmp(argv[1], "decode"))
		return decode(argv[2], argv[3], argv[4], argv[5]) ? 1 : 0;

	fputs("usage: Image --release\n"
	      "       Image --version\n"
	      "       Image decode ROW PATH FIXTURE OUTPUT\n", stderr);
	return 2;
}
